"""The link page in a real Chromium, from the first code to the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from conftest import Person
from instances.models import Instance, LinkPage
from tests import browser
from tests.browser import DESKTOP, PHONE, Window, Windows

pytestmark = [pytest.mark.browser, pytest.mark.only_with("sqlite")]


@pytest.fixture(scope="module")
def windows() -> Iterator[Windows]:
    with browser.running() as windows:
        yield windows


@pytest.fixture
def new(committed: None, alice: Person, make_instance: Callable[..., Instance]) -> Instance:
    created = {"wanted": "stopped", "state": "created", "reason": "new", "phone": None, "device_jid": None}
    return make_instance(alice, name="Acme, front desk", **created)


def _picture(window: Window, name: str) -> None:
    """For people to look at: in the folder PICTURES, if that is named."""
    if folder := os.environ.get("PICTURES"):
        window.do(lambda page: page.screenshot(path=Path(folder) / f"{name}.png", full_page=True))


@pytest.mark.parametrize("look", ["phone", "dark phone", "desktop"])
def test_a_number_is_linked_by_the_page(
    windows: Windows, live_server: LiveServer, alice: Person, new: Instance, look: str
) -> None:
    cache.clear()
    url = alice.client.post(f"/api/instances/{new.id}/link-page", {}, "json").json()["url"]
    options: dict[str, Any] = {"viewport": DESKTOP if look == "desktop" else PHONE}
    window = windows.open(live_server.url, **options, color_scheme="dark" if look == "dark phone" else "light")
    window.open(f"/link#{url.partition('#')[2]}")
    window.do(lambda page: expect(page.get_by_text("One moment: WhatsApp is asked for a code.")).to_be_visible())
    code = "2@" + "sE4u7GhKq2" * 20
    Instance.objects.filter(pk=new.pk).update(qr_code=code, qr_expires_at=timezone.now() + timedelta(minutes=5))

    def scan(page: Page) -> None:
        expect(page.get_by_text("Acme, front desk")).to_be_visible()
        picture = page.get_by_alt_text("QR code to scan with WhatsApp")
        expect(picture).to_be_visible()
        assert picture.evaluate("picture => picture.decode().then(() => picture.naturalWidth)") > 100
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide == 0

    def ask(page: Page) -> None:
        page.fill("#phone", "12")
        page.get_by_role("button", name="Get a code").click()
        expect(page.get_by_role("alert")).to_have_text("This is not a phone number with country code.")
        page.fill("#phone", "+1 555 010 0009")
        page.get_by_role("button", name="Get a code").click()
        expect(page.locator(".problem")).to_be_empty()

    window.do(scan)
    _picture(window, f"{look} scan")
    window.do(ask)
    # Chromium logs each refused request as an error of the page; this one was meant.
    assert [one for one in window.complaints if "400 (Bad Request)" not in one] == []
    Instance.objects.filter(pk=new.pk).update(pairing_code="ABCD-1234")
    window.do(lambda page: expect(page.get_by_text("ABCD-1234")).to_be_visible())
    _picture(window, f"{look} code")
    LinkPage.objects.update(used_at=timezone.now())
    window.do(lambda page: expect(page.get_by_text("The number is linked.")).to_be_visible())
    window.do(lambda page: expect(page.get_by_alt_text("QR code to scan with WhatsApp")).not_to_be_visible())
    _picture(window, f"{look} linked")
    window.close()


def test_a_page_without_a_good_token_says_so(windows: Windows, live_server: LiveServer, committed: None) -> None:
    window = windows.open(live_server.url, viewport=PHONE)
    for fragment, text in {
        "": "This link is not complete.",
        "#lnk_wrong": "This link has expired or was used.",
    }.items():
        window.open(f"/link?{len(fragment)}{fragment}")
        window.do(lambda page, text=text: expect(page.get_by_text(text)).to_be_visible())  # type: ignore[misc]
    _picture(window, "over")
    window.close()
