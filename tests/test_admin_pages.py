"""Every page of the operators' admin, over all apps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.db import connection, models
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import ApiKey, User
from accounts.services import register
from broadcasts.models import Broadcast, OptOut, Recipient, Template
from config.admin import page_of
from conftest import PASSWORD, Person
from instances.models import ConnectionChange, Instance, Network, Worker
from messaging.models import Message
from messaging.states import Direction, Status
from phones.models import VirtualPhone
from webhooks.models import Attempt, Delivery, Endpoint, Event, Replay

WORDS = "words that only the tenant may read"
PAGES = sorted(admin.site._registry, key=lambda model: model._meta.label)


@pytest.fixture(autouse=True)
def _nothing_is_cached() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def operator(db: None) -> Client:
    """A client that is logged in as a superuser."""
    return _logged_in(User.objects.create_superuser("operator@example.com", PASSWORD, name="Operator"))


@pytest.fixture
def observer(db: None) -> Client:
    """A client of an operator who may look at everything and change nothing."""
    user = User.objects.create_user("observer@example.com", PASSWORD, name="Observer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    return _logged_in(user)


def _logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def _address(model: type[models.Model]) -> str:
    return f"/admin/{model._meta.app_label}/{model._meta.model_name}/"


class Tenant:
    """An organization that has one of everything."""

    def __init__(self, name: str, number: int) -> None:
        user, organization = register(email=f"{name}{number}@example.com", password=PASSWORD, name=f"{name} {number}")
        self.person = Person(user, organization)
        self.key = self.person.key()
        self.worker = Worker.objects.create(
            name=f"worker{number}", network=Network.SANDBOX, queue="q", machine="m", pid=1, capacity=10
        )
        self.instance = Instance.objects.create(
            organization=organization, name="Support", network=Network.SANDBOX, qr_code="2@secretqr", holder=self.worker
        )
        Instance.objects.filter(pk=self.instance.pk).update(proxy="socks5://acme:secretproxy@proxy.example.com:1080")
        ConnectionChange.objects.create(
            instance=self.instance, at=timezone.now(), state="connected", reason="online", worker=self.worker.id
        )
        for direction, status in ((Direction.OUTBOUND, Status.FAILED), (Direction.INBOUND, Status.RECEIVED)):
            self.message = Message.objects.create(
                organization=organization,
                instance=self.instance,
                direction=direction,
                status=status,
                type="text",
                content={"body": WORDS},
                chat="15550100001@s.whatsapp.net",
            )
        self.endpoint = Endpoint.objects.create(organization=organization, url="https://example.com/in", events=["*"])
        event = Event.objects.create(
            organization=organization,
            network=Network.SANDBOX,
            instance_id=self.instance.id,
            type="message.received",
            sequence=1,
            timestamp=timezone.now(),
            data={"text": WORDS},
        )
        self.delivery = Delivery.objects.create(
            endpoint=self.endpoint, event=event, type=event.type, sequence=1, state=Delivery.State.FAILED
        )
        Attempt.objects.create(delivery=self.delivery, at=timezone.now(), duration_ms=1, status=500, response=WORDS)
        Replay.objects.create(
            organization=organization,
            endpoint=self.endpoint,
            kind=Replay.Kind.RECOVER,
            since=event.timestamp,
            until=timezone.now(),
            cursor=event.id,
        )
        message = {"text": {"body": WORDS}}
        template = Template.objects.create(organization=organization, name="Greeting", message=message)
        broadcast = Broadcast.objects.create(
            organization=organization, network=Network.SANDBOX, template=template, message=message
        )
        phone = f"1555018{number:04}"
        Recipient.objects.create(broadcast=broadcast, to=phone, variables={"name": WORDS}, state="pending")
        OptOut.objects.create(
            organization=organization, network=Network.SANDBOX, phone=phone, source="stop_word", instance=self.instance
        )
        VirtualPhone.objects.create(organization=organization, phone=f"1555019{number:04}", name="Phone")

    @property
    def secrets(self) -> list[str]:
        row = ApiKey.objects.get(organization=self.person.organization)
        return [
            WORDS,
            self.key,
            row.hashed_key,
            self.endpoint.secret,
            "2@secretqr",
            "secretproxy",
            self.person.user.password,
        ]


@pytest.fixture
def tenant(db: None) -> Tenant:
    return Tenant("acme", 0)


def _read(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, (address, answer.status_code)
    return answer.content.decode()


@pytest.mark.only_with("postgres")  # the stricter one; a browser opens all pages with SQLite
@pytest.mark.parametrize("model", PAGES, ids=lambda model: model._meta.label)
def test_a_page_and_its_objects_open_and_tell_no_secret(
    operator: Client, tenant: Tenant, model: type[models.Model]
) -> None:
    pages = [_address(model), *(page_of(obj) for obj in model._default_manager.all()[:3])]
    for address in pages:
        text = _read(operator, address)
        for secret in tenant.secrets:
            assert secret not in text, address


@pytest.mark.only_with("postgres")
@pytest.mark.parametrize("model", PAGES, ids=lambda model: model._meta.label)
def test_the_number_of_queries_does_not_grow_with_the_rows(
    operator: Client, tenant: Tenant, model: type[models.Model]
) -> None:
    _read(operator, _address(model))  # what is kept for all requests of the process is there now
    with CaptureQueriesContext(connection) as few:
        _read(operator, _address(model))
    for number in range(1, 5):
        Tenant("more", number)
    with CaptureQueriesContext(connection) as many:
        _read(operator, _address(model))
    assert len(many) == len(few), [query["sql"] for query in many]


@pytest.mark.every_case
@pytest.mark.parametrize("model", PAGES, ids=lambda model: model._meta.label)
def test_the_search_box_takes_words_and_ids(operator: Client, tenant: Tenant, model: type[models.Model]) -> None:
    page = admin.site._registry[model]
    if not page.get_search_fields(operator.get("/admin/").wsgi_request):
        pytest.skip("there is nothing to search")
    row = model._default_manager.first()
    for term in ("nobody knows this", "ins_01m838r927e2db9e179njgchsh", "org_", "'\"%", "usr_zzz"):
        _read(operator, f"{_address(model)}?q={term}")
    if row and "_" in str(row.pk):
        assert str(row.pk) in _read(operator, f"{_address(model)}?q={row.pk}").replace("_5F", "_")


@pytest.mark.parametrize("term", ["15550100001", "+15550100001", "15550100001@s.whatsapp.net", "nobody"])
def test_messages_are_found_by_phone_number(operator: Client, tenant: Tenant, term: str) -> None:
    answer = operator.get("/admin/messaging/message/", {"q": term})
    assert answer.context["cl"].queryset.count() == (0 if term == "nobody" else 2)


def test_an_organization_leads_to_all_that_is_its_own(operator: Client, tenant: Tenant) -> None:
    text = _read(operator, page_of(tenant.person.organization))
    links = {
        title.strip(): (address, count)
        for address, title, count in re.findall(
            r'href="([^"]+\?[^"]+)">\s*([A-Za-z ]+?)\s*<strong[^>]*>([\d,+]+)</strong>', text
        )
    }
    expected = {"API keys": "1", "Endpoints": "1", "Events": "1", "Instances": "1", "Messages": "2"}
    for title, count in (expected | {"Subscriptions": "1", "Virtual phones": "1"}).items():
        assert links[title][1] == count, title
        assert operator.get(links[title][0]).context["cl"].queryset.count() == int(count), title
    assert operator.get(links["Audit entries"][0]).context["cl"].queryset.count() == int(links["Audit entries"][1]) > 0


@pytest.mark.only_with("postgres")
def test_an_observer_sees_all_pages_and_no_action(observer: Client, tenant: Tenant) -> None:
    for model in PAGES:
        text = _read(observer, _address(model))
        assert "/add/" not in text
        for obj in model._default_manager.all()[:1]:
            assert 'hx-target="#modal-content"' not in _read(observer, page_of(obj))


def test_somebody_who_is_no_operator_is_asked_to_log_in(tenant: Tenant) -> None:
    client = _logged_in(tenant.person.user)
    assert client.get("/admin/").status_code == 302
    for model in PAGES:
        assert client.get(_address(model)).status_code == 302


def test_an_action_asks_before_it_acts(operator: Client, tenant: Tenant) -> None:
    organization = tenant.person.organization
    address = f"{page_of(organization).removesuffix('change/')}suspend/"
    assert "Suspend this organization?" in _read(operator, address)
    organization.refresh_from_db()
    assert organization.suspended_at is None


def test_an_action_needs_a_csrf_token(operator: Client, tenant: Tenant) -> None:
    organization = tenant.person.organization
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = operator.cookies
    address = f"{page_of(organization).removesuffix('change/')}suspend/"
    assert strict.post(address, {"_form_submitted": "on"}).status_code == 403
    organization.refresh_from_db()
    assert organization.suspended_at is None


def test_the_dashboard_shows_an_operator_only_what_they_may_view(tenant: Tenant) -> None:
    user = User.objects.create_user("partly@example.com", PASSWORD, name="Partly", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_organization", "view_entry"]))
    text = _read(_logged_in(user), "/admin/")
    assert re.findall(r'data-figure="([^"]+)"', text) == ["Organizations"]
    assert re.findall(r'data-panel="([^"]+)"', text) == ["Recent acts"]


def test_the_dashboard_works_without_a_cache(
    operator: Client, tenant: Tenant, settings: Any, unused_tcp_port: int
) -> None:
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": f"redis://127.0.0.1:{unused_tcp_port}",
        }
    }
    assert 'data-figure="Messages, 24 hours"' in _read(operator, "/admin/")


def test_the_dashboard_asks_the_database_nothing_twice_within_seconds(operator: Client, tenant: Tenant) -> None:
    with CaptureQueriesContext(connection) as first:
        _read(operator, "/admin/")
    with CaptureQueriesContext(connection) as second:
        _read(operator, "/admin/")
    assert len(second) < 6 < len(first) < 60, [query["sql"] for query in second]
