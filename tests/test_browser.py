"""The pages for people, in a real Chromium: what they show, and that they complain of nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import cache
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from accounts.models import Membership, Role, User
from config.admin import page_of
from conftest import PASSWORD, Person
from instances.models import Instance
from tests import browser
from tests.browser import DESKTOP, PHONE, Window, Windows
from tests.test_admin_pages import PAGES, Tenant

pytestmark = [pytest.mark.browser, pytest.mark.only_with("sqlite")]
Open = Callable[..., Window]


@pytest.fixture(scope="module")
def windows() -> Iterator[Windows]:
    with browser.running() as windows:
        yield windows


@pytest.fixture
def open_window(windows: Windows, committed: None, live_server: LiveServer) -> Iterator[Open]:
    """Opens a window. Whatever its pages complain of fails the test."""
    cache.clear()
    opened: list[Window] = []

    def open_window(**options: Any) -> Window:
        opened.append(windows.open(live_server.url, **options))
        return opened[-1]

    yield open_window
    for window in opened:
        window.close()
    assert not [complaint for window in opened for complaint in window.complaints]


@pytest.fixture
def tenant(committed: None) -> Tenant:
    return Tenant("acme", 0)


@pytest.fixture
def operator(committed: None) -> User:
    return User.objects.create_superuser("operator@example.com", PASSWORD, name="Operator")


def _log_in(window: Window, email: str) -> None:
    def steps(page: Page) -> None:
        page.fill("[name=username]", email)
        page.fill("[name=password]", PASSWORD)
        page.click("[type=submit]")
        page.wait_for_url("**/admin/")

    window.open("/admin/login/")
    window.do(steps)


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_an_operator_reads_the_dashboard_and_suspends_an_organization(
    open_window: Open, operator: User, tenant: Tenant, viewport: dict[str, int]
) -> None:
    organization = tenant.person.organization

    def read_the_dashboard(page: Page) -> None:
        for title, value in {"Organizations": "1", "Messages, 24 hours": "2", "Queued messages": "0"}.items():
            expect(page.locator(f'[data-figure="{title}"] [data-value]')).to_have_text(value)
        expect(page.locator('[data-panel="Outcomes"]')).to_contain_text("1 · 100.0 %")
        drawn = "Chart.getChart(document.querySelector('canvas.chart')).data.datasets.map(set => set.data.at(-1))"
        assert page.evaluate(drawn) == [0, 1, 1], "out, in and failed in the running hour"

    def suspend(page: Page) -> None:
        if viewport is PHONE:
            page.locator("#header-inner").get_by_text("more_horiz").click()
        page.get_by_text(re.compile(r"^\s*(block)?\s*Suspend\s*$")).locator("visible=true").first.click()
        expect(page.locator("#dialog")).to_contain_text("Suspend this organization?")
        page.get_by_role("button", name="Suspend").click()
        expect(page.get_by_text(f"{organization} is suspended.")).to_be_visible()

    def read_the_audit_log(page: Page) -> None:
        row = page.locator("#result_list tr", has_text="admin:organization:suspended")
        expect(row).to_contain_text(operator.email)
        expect(row).to_contain_text(organization.id)

    window = open_window(viewport=viewport)
    _log_in(window, operator.email)
    window.open("/admin/")
    window.do(read_the_dashboard)
    window.open(page_of(organization))
    window.do(suspend)
    organization.refresh_from_db()
    assert organization.suspended_reason == "operator"
    window.open("/admin/audit/entry/")
    window.do(read_the_audit_log)


@pytest.mark.parametrize("look", ["light", "dark phone"])
def test_every_page_of_the_admin_opens_without_complaint(
    open_window: Open, operator: User, tenant: Tenant, look: str
) -> None:
    dark = {"viewport": PHONE, "color_scheme": "dark"}
    window = open_window(**dark if look == "dark phone" else {"viewport": DESKTOP})
    _log_in(window, operator.email)
    for model in PAGES:
        window.open(f"/admin/{model._meta.app_label}/{model._meta.model_name}/")
        # On a wide window these look alike, while a phone has to fold each of them.
        for obj in model._default_manager.all()[: 1 if look == "dark phone" else 0]:
            window.open(page_of(obj))


def test_the_search_finds_any_object_by_its_id(open_window: Open, operator: User, tenant: Tenant) -> None:
    def search(page: Page) -> None:
        expect(page.locator("#search-input-command")).to_be_attached()
        page.keyboard.press("Control+k")
        page.locator("#search-input-command").press_sequentially(tenant.message.id)
        page.get_by_role("link", name=tenant.message.id).click()
        page.wait_for_url("**/messaging/message/**")

    window = open_window(viewport=DESKTOP)
    _log_in(window, operator.email)
    window.open("/admin/")
    window.do(search)


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_swagger_ui_shows_the_api_from_this_machine_alone(open_window: Open, viewport: dict[str, int]) -> None:
    def read(page: Page) -> None:
        page.locator(".opblock-tag[data-tag=Messages]").click()
        expect(page.locator(".opblock", has_text="/api/messages").first).to_be_visible()

    window = open_window(viewport=viewport)
    window.open("/api/docs")
    window.do(read)


def _log_in_to_the_api(window: Window, person: Person) -> None:
    def steps(page: Page) -> None:
        page.fill("[name=username]", person.user.email)
        page.fill("[name=password]", PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url("**/api/instances")

    window.open("/account/login?next=/api/instances")
    window.do(steps)


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_an_owner_uses_the_browsable_api(open_window: Open, tenant: Tenant, viewport: dict[str, int]) -> None:
    def create(page: Page) -> None:
        expect(page.locator(".response-info")).to_contain_text(tenant.instance.id)
        page.locator("textarea[name=_content]").fill('{"name": "Made by hand", "network": "sandbox"}')
        page.get_by_role("button", name="POST").click()
        expect(page.locator(".response-info")).to_contain_text("HTTP 201")

    def log_out(page: Page) -> None:
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("link", name="Log in").first).to_be_attached()

    window = open_window(viewport=viewport)
    _log_in_to_the_api(window, tenant.person)
    window.open("/api/instances")
    window.do(create)
    assert Instance.objects.filter(organization=tenant.person.organization, name="Made by hand").exists()
    window.open("/api/")
    window.do(log_out)


def test_a_viewer_is_offered_no_form_in_the_browsable_api(open_window: Open, tenant: Tenant) -> None:
    rita = User.objects.create_user("rita@example.com", PASSWORD, name="Rita")
    Membership.objects.create(organization=tenant.person.organization, user=rita, role=Role.VIEWER)

    def read(page: Page) -> None:
        expect(page.locator(".response-info")).to_contain_text(tenant.instance.id)
        assert page.locator("textarea, form:has-text('POST')").count() == 0

    window = open_window(viewport=DESKTOP)
    _log_in_to_the_api(window, Person(rita, tenant.person.organization))
    for path in ("/api/messages", "/api/"):
        window.open(path)
    window.open("/api/instances")
    window.do(read)
