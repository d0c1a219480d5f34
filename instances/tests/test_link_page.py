"""The page that links a number for whoever has its address."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.organizations import suspend
from audit.models import Entry
from conftest import Person, assert_problem, bearer
from instances.holding.handlers import Linked
from instances.holding.writer import Writer
from instances.linking import MOST_CODES
from instances.models import Instance, LinkPage

pytestmark = pytest.mark.django_db
MakeInstance = Callable[..., Instance]
UNLINKED = {"wanted": "stopped", "state": "created", "reason": "new", "phone": None, "device_jid": None}


@pytest.fixture
def new(alice: Person, make_instance: MakeInstance) -> Instance:
    return make_instance(alice, **UNLINKED)


def opened(person: Person, instance: Instance, **body: Any) -> APIClient:
    """Somebody who has the address of a new link page."""
    answer = person.client.post(f"/api/instances/{instance.id}/link-page", body, "json")
    assert answer.status_code == 201, answer.content
    url = answer.json()["url"]
    address, _, token = url.partition("#")
    assert address.endswith("/link")
    assert len(token) >= 4 + 43, "32 random bytes"
    return bearer(token)


def shown(visitor: APIClient) -> dict[str, Any]:
    answer = visitor.get("/api/link-page")
    assert answer.status_code == 200, answer.content
    return dict(answer.json())


def test_a_page_shows_the_code_and_nothing_of_the_tenant_but_a_name(alice: Person, new: Instance) -> None:
    visitor = opened(alice, new)
    assert shown(visitor)["status"] == "waiting"
    assert visitor.post("/api/link-page/start").json()["status"] == "starting"
    new.refresh_from_db()
    assert (new.wanted, new.state) == ("connected", "linking")
    soon = timezone.now() + timedelta(seconds=20)
    Instance.objects.update(qr_code="2@abc", qr_expires_at=soon, link_phone="15550100009", pairing_code="ABCD-1234")
    page = shown(visitor)
    assert page.keys() == {"name", "status", "text", "qr", "pairing_code", "expires_at"}
    assert (page["name"], page["status"], page["pairing_code"]) == ("Support", "scan", "ABCD-1234")
    assert page["qr"]["image"].startswith("data:image/svg+xml")
    assert not any(secret in str(page) for secret in (new.id, alice.organization.id, "15550100009", "2@abc"))


def test_the_token_is_in_no_row(alice: Person, new: Instance) -> None:
    visitor = opened(alice, new)
    token = visitor._credentials["HTTP_AUTHORIZATION"].removeprefix("Bearer ")  # type: ignore[attr-defined]
    assert token not in str(LinkPage.objects.values().get())
    assert token not in str(list(Entry.objects.values("tag", "changes", "subject")))


@pytest.mark.parametrize("end", ["another", "revoked", "cancelled", "expired", "deleted", "suspended"])
def test_a_page_that_has_ended_is_as_one_that_never_was(alice: Person, new: Instance, end: str) -> None:
    visitor = opened(alice, new)
    match end:
        case "another":
            opened(alice, new)
        case "revoked":
            assert alice.client.delete(f"/api/instances/{new.id}/link-page").status_code == 204
            assert alice.client.delete(f"/api/instances/{new.id}/link-page").status_code == 204
        case "cancelled":
            alice.client.delete(f"/api/instances/{new.id}/linking")
        case "expired":
            LinkPage.objects.update(expires_at=timezone.now())
        case "deleted":
            alice.client.delete(f"/api/instances/{new.id}")
        case "suspended":
            suspend(organization=alice.organization, reason="operator")
    never = bearer("lnk_never")
    for one in (visitor, never, APIClient()):
        assert_problem(one.get("/api/link-page"), 422, "invalid_link")
        assert_problem(one.post("/api/link-page/start"), 422, "invalid_link")
        ask = one.post("/api/link-page/pairing-code", {"phone": "15550100009"}, "json")
        assert assert_problem(ask, 422, "invalid_link")["detail"] == never.get("/api/link-page").json()["detail"]


def test_a_pairing_code_is_asked_for_a_few_times(alice: Person, new: Instance) -> None:
    visitor = opened(alice, new)
    for turn in range(MOST_CODES):
        answer = visitor.post("/api/link-page/pairing-code", {"phone": f"+1 555 010 000{turn}"}, "json")
        assert answer.status_code == 202, answer.content
    new.refresh_from_db()
    assert new.link_phone == f"1555010000{MOST_CODES - 1}"
    answer = visitor.post("/api/link-page/pairing-code", {"phone": "15550100009"}, "json")
    assert_problem(answer, 429, "too_many_codes")


def test_a_visitor_is_not_told_which_instance_has_a_number(
    alice: Person, new: Instance, make_instance: MakeInstance
) -> None:
    other = make_instance(alice)
    answer = opened(alice, new).post("/api/link-page/pairing-code", {"phone": other.phone}, "json")
    assert other.id not in str(assert_problem(answer, 409, "number_taken"))


def test_a_linked_instance_has_no_page(alice: Person, instance: Instance) -> None:
    answer = alice.client.post(f"/api/instances/{instance.id}/link-page", {}, "json")
    assert_problem(answer, 409, "instance_already_linked")


@pytest.mark.parametrize("seconds", [59, 86_401, "900", None])
def test_a_page_lasts_a_minute_to_a_day(alice: Person, new: Instance, seconds: Any) -> None:
    answer = alice.client.post(f"/api/instances/{new.id}/link-page", {"expires_in": seconds}, "json")
    assert_problem(answer, 400, "invalid_request")
    assert not LinkPage.objects.exists()


def test_rita_and_charlie_open_no_page(rita: Person, charlie: Person, new: Instance) -> None:
    path = f"/api/instances/{new.id}/link-page"
    assert_problem(rita.client.post(path, {}, "json"), 403, "permission_denied")
    assert_problem(charlie.client.post(path, {}, "json"), 404, "not_found")


def test_a_page_serves_for_one_link(alice: Person, committed: None, held: Instance, running_writer: Writer) -> None:
    Instance.objects.filter(pk=held.pk).update(**UNLINKED | {"wanted": "connected", "state": "linking"})
    visitor = opened(alice, held)
    running_writer.submit(held.id, 1, Linked("15550100009:3@s.whatsapp.net", "15550100009", None)).result(20)
    page = shown(visitor)
    assert (page["status"], page["qr"], page["pairing_code"]) == ("linked", None, None)
    alice.client.post(f"/api/instances/{held.id}/stop")
    Instance.objects.filter(pk=held.pk).update(device_jid=None, state="logged_out", reason="unlinked")
    assert_problem(visitor.post("/api/link-page/start"), 409, "link_page_ended")
    assert shown(visitor)["status"] == "linked"


def test_the_page_itself_allows_itself_little(anonymous: APIClient) -> None:
    answer = anonymous.get("/link")
    assert answer.status_code == 200
    policy = answer["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy
    assert (answer["Referrer-Policy"], answer["X-Robots-Tag"]) == ("no-referrer", "noindex")
    assert "no-store" in answer["Cache-Control"]
    assert not answer.cookies
