from __future__ import annotations

import base64
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from config.ids import new_id
from config.timestamps import iso
from conftest import Person
from webhooks.dispatcher import Dispatcher
from webhooks.models import Endpoint
from webhooks.services import MAX_ENDPOINTS
from webhooks.tests.conftest import Receiver, wait_for
from webhooks.tests.test_deliveries import commit

URL = "https://example.org/hook"


def create(person: Person, **fields: Any) -> dict[str, Any]:
    response = person.client.post("/api/webhooks", {"url": URL, "events": ["*"]} | fields, format="json")
    assert response.status_code == 201, response.json()
    return response.json()


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.headers["Content-Type"] == "application/problem+json"
    body = response.json()
    assert (response.status_code, body["status"], body["code"]) == (status, status, code), body
    return body


def test_creating_shows_the_secret_this_once(alice: Person) -> None:
    created = create(alice, description="mine", events=["message.*", "instance.qr"])
    secret = created.pop("secret")
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 24
    assert created["id"].startswith("whk_")
    assert {name: created[name] for name in ("url", "events", "description", "instances", "mode", "enabled")} == {
        "url": URL, "events": ["message.*", "instance.qr"], "description": "mine", "instances": None, "mode": None,
        "enabled": True,
    }  # fmt: skip
    assert alice.client.get(f"/api/webhooks/{created['id']}").json() == created
    assert alice.client.get("/api/webhooks").json()["results"] == [created]


def test_the_secret_is_encrypted_at_rest(alice: Person) -> None:
    secret = create(alice)["secret"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM webhooks_endpoint")
        (stored,) = cursor.fetchone()
    assert secret.removeprefix("whsec_") not in stored
    assert Endpoint.objects.get().secret == secret


def test_each_field_can_be_changed(alice: Person) -> None:
    path = f"/api/webhooks/{create(alice)['id']}"
    changes = {"url": "https://example.com/", "events": ["message.sent"], "description": "x", "enabled": False}
    for name, value in (changes | {"instances": [new_id("ins")]}).items():
        response = alice.client.patch(path, {name: value}, format="json")
        assert response.status_code == 200
        assert response.json()[name] == value
        assert alice.client.get(path).json()[name] == value
    assert alice.client.patch(path, {"instances": None}, format="json").json()["instances"] is None


def test_enabling_again_forgets_why_it_was_disabled(alice: Person) -> None:
    path = f"/api/webhooks/{create(alice)['id']}"
    now = timezone.now()
    Endpoint.objects.update(
        enabled=False, disabled_code="receiver_gone", disabled_at=now, failing_since=now, warnings=2, warned_at=now
    )
    shown = alice.client.get(path).json()
    assert (shown["state"], shown["reason"], shown["since"]) == ("disabled", "receiver_gone", iso(now))
    assert "410" in shown["reason_text"]
    changed = alice.client.patch(path, {"enabled": True}, format="json").json()
    assert (changed["enabled"], changed["state"]) == (True, "active")
    assert {changed[name] for name in ("reason", "reason_text", "advice", "since")} == {None}
    row = Endpoint.objects.get()
    assert (row.failing_since, row.warnings, row.warned_at) == (None, 0, None)


def test_a_deleted_endpoint_is_gone(alice: Person) -> None:
    path = f"/api/webhooks/{create(alice)['id']}"
    assert alice.client.delete(path).status_code == 204
    for response in (alice.client.get(path), alice.client.delete(path), alice.client.get(f"{path}/deliveries")):
        problem(response, 404, "not_found")
    assert alice.client.get("/api/webhooks").json()["results"] == []


def test_lists_come_in_pages(alice: Person) -> None:
    ids = [create(alice)["id"] for _ in range(3)]
    first = alice.client.get("/api/webhooks?limit=2").json()
    second = alice.client.get(first["next"]).json()
    assert [row["id"] for row in first["results"] + second["results"]] == ids[::-1]
    problem(alice.client.get("/api/webhooks?cursor=nonsense"), 400, "invalid_cursor")


def test_deliveries_show_their_attempts(
    dispatcher: Dispatcher, hook: Endpoint, receiver: Receiver, alice: Person, draft: Any
) -> None:
    receiver.answer = lambda number, path: (503, {}, b"later")
    (event,) = commit(draft())
    path = f"/api/webhooks/{hook.id}/deliveries"
    (row,) = alice.client.get(path).json()["results"]
    assert (row["state"], row["attempts"]) == ("pending", [])
    dispatcher.wake(hook.id)

    def tried() -> Any:
        (row,) = alice.client.get(path).json()["results"]
        return row["attempts"] and row["state"] == "pending" and row

    row = wait_for(tried)
    assert row["id"].startswith("dlv_")
    assert row["event"] == event.payload()
    assert row["next_attempt_at"] is not None
    (attempt,) = row["attempts"]
    assert (attempt["status"], attempt["error"], attempt["response"]) == (503, None, "later")
    assert attempt["duration_ms"] >= 0


@pytest.mark.parametrize(
    "url",
    [
        "", "example.org", "//example.org", "ftp://example.org/", "javascript:alert(1)", "http://", "http:///path",
        "https://user@example.org/", "https://user:secret@example.org/", "https://example.org:0/",
        "https://example.org:99999/", "https://example.org:x/", "https://[::1/", "https://exa mple.org\x00/",
        "https://example.org/" + 2000 * "a", 7, None, ["https://example.org"],
    ],
)  # fmt: skip
def test_a_bad_url_is_refused(alice: Person, url: Any) -> None:
    response = alice.client.post("/api/webhooks", {"url": url, "events": ["*"]}, format="json")
    assert problem(response, 400, "invalid_request")["errors"][0]["pointer"] == "/url"
    assert not Endpoint.objects.exists()


@pytest.mark.parametrize(
    "host",
    ["10.0.0.1", "169.254.169.254", "100.64.1.1", "[fd00::1]", "[::ffff:10.0.0.1]", "[64:ff9b::a00:1]", "0",
     "0xa000001", "10.1", "168.63.129.16", "224.0.0.1"],
)  # fmt: skip
def test_a_literal_private_address_is_refused_at_once(alice: Person, host: str) -> None:
    response = alice.client.post("/api/webhooks", {"url": f"http://{host}/", "events": ["*"]}, format="json")
    assert problem(response, 422, "url_not_allowed")["errors"][0]["pointer"] == "/url"
    created = create(alice)
    problem(
        alice.client.patch(f"/api/webhooks/{created['id']}", {"url": f"http://{host}/"}, format="json"),
        422,
        "url_not_allowed",
    )


def test_production_takes_https_only(alice: Person, settings: Any) -> None:
    settings.PRODUCTION = True
    response = alice.client.post("/api/webhooks", {"url": "http://example.org/", "events": ["*"]}, format="json")
    assert problem(response, 400, "invalid_request")["errors"][0]["code"] == "https_required"
    create(alice, url=URL)


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"events": []}, "/events"),
        ({"events": ["message"]}, "/events/0"),
        ({"events": ["*", "message.smelled"]}, "/events/1"),
        ({"events": ["mess*"]}, "/events/0"),
        ({"events": "message.sent"}, "/events"),
        ({"events": [7]}, "/events/0"),
        ({"instances": []}, "/instances"),
        ({"instances": ["org_01h455vb4pex5vsknk084sn02q"]}, "/instances/0"),
        ({"instances": ["ins_"]}, "/instances/0"),
        ({"enabled": "yes"}, "/enabled"),
        ({"enabled": 1}, "/enabled"),
        ({"description": 201 * "x"}, "/description"),
        ({"secret": "whsec_mine"}, "/secret"),
        ({"organization": "org_x"}, "/organization"),
        ({"mode": "live"}, "/mode"),
    ],
)
def test_bad_fields_are_pointed_at_when_creating_and_when_changing(
    alice: Person, fields: dict[str, Any], pointer: str
) -> None:
    created = create(alice)
    before = list(Endpoint.objects.values())
    answers = (
        alice.client.post("/api/webhooks", {"url": URL, "events": ["*"]} | fields, format="json"),
        alice.client.patch(f"/api/webhooks/{created['id']}", fields, format="json"),
    )
    for answer in answers:
        pointers = [error["pointer"] for error in problem(answer, 400, "invalid_request")["errors"]]
        assert pointers[0].startswith(pointer.rpartition("/")[0] or "/")
        assert pointer in pointers or pointer.rsplit("/", 1)[0] in pointers
    assert list(Endpoint.objects.values()) == before


def test_url_and_events_are_required(alice: Person) -> None:
    errors = problem(alice.client.post("/api/webhooks", {}, format="json"), 400, "invalid_request")["errors"]
    assert {error["pointer"] for error in errors} == {"/url", "/events"}


def test_the_number_of_endpoints_has_a_limit(alice: Person) -> None:
    Endpoint.objects.bulk_create(
        Endpoint(organization=alice.organization, url=URL, events=["*"]) for _ in range(MAX_ENDPOINTS)
    )
    response = alice.client.post("/api/webhooks", {"url": URL, "events": ["*"]}, format="json")
    assert problem(response, 409, "too_many_webhooks")["limit"] == MAX_ENDPOINTS


def routes(endpoint_id: str) -> list[tuple[str, str]]:
    path = f"/api/webhooks/{endpoint_id}"
    return [("get", path), ("patch", path), ("delete", path), ("get", f"{path}/deliveries")]


@pytest.mark.parametrize("number", range(4))
def test_charlie_gets_the_same_404_for_what_is_alices_and_for_what_is_not_there(
    alice: Person, charlie: Person, number: int
) -> None:
    created = create(alice)
    answers = []
    for endpoint_id in (created["id"], new_id("whk"), new_id("ins"), "nonsense"):
        for caller in (charlie.client, charlie.program()):
            method, path = routes(endpoint_id)[number]
            change = {"enabled": False} if method == "patch" else None
            body = problem(getattr(caller, method)(path, change, format="json"), 404, "not_found")
            answers.append({name: value for name, value in body.items() if name != "request_id"})
    assert all(answer == answers[0] for answer in answers)
    assert Endpoint.objects.get().enabled


def test_charlie_does_not_see_alices_endpoints_in_the_list(alice: Person, charlie: Person) -> None:
    create(alice)
    assert charlie.client.get("/api/webhooks").json()["results"] == []


def test_bob_rita_and_keys_without_the_scope_are_refused_everywhere(alice: Person, bob: Person, rita: Person) -> None:
    path = create(alice)["id"]
    key = alice.program("read", "send", "manage")
    everything = [*routes(path), ("get", "/api/webhooks"), ("post", "/api/webhooks")]
    for caller, code in ((bob.client, "permission_denied"), (rita.client, "permission_denied"), (key, "missing_scope")):
        for method, route in everything:
            problem(getattr(caller, method)(route, {}, format="json"), 403, code)


def test_without_credentials_everything_is_401(anonymous: APIClient) -> None:
    for method, route in [*routes(new_id("whk")), ("get", "/api/webhooks"), ("post", "/api/events/ticket")]:
        problem(getattr(anonymous, method)(route, {}, format="json"), 401, "not_authenticated")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("put", "/api/webhooks"),
        ("delete", "/api/webhooks"),
        ("post", "/api/webhooks/whk_x"),
        ("post", "/api/webhooks/whk_x/deliveries"),
        ("get", "/api/events/ticket"),
    ],
)
def test_a_wrong_method_is_405(alice: Person, method: str, path: str) -> None:
    problem(getattr(alice.client, method)(path, {}, format="json"), 405, "method_not_allowed")


def test_keys_see_the_endpoints_of_their_mode_and_people_all(alice: Person) -> None:
    test, live = alice.program(), alice.program(mode="live")
    body = {"url": URL, "events": ["*"]}
    assert test.post("/api/webhooks", body, format="json").json()["mode"] == "test"
    created = live.post("/api/webhooks", body, format="json").json()
    assert created["mode"] == "live"
    assert [row["mode"] for row in test.get("/api/webhooks").json()["results"]] == ["test"]
    assert [row["mode"] for row in alice.client.get("/api/webhooks").json()["results"]] == ["live", "test"]
    problem(test.get(f"/api/webhooks/{created['id']}"), 404, "not_found")


def test_a_ticket_needs_the_scope_read(alice: Person, rita: Person) -> None:
    response = rita.client.post("/api/events/ticket")
    assert response.status_code == 201
    assert set(response.json()) == {"ticket", "expires_at"}
    problem(alice.program("send").post("/api/events/ticket"), 403, "missing_scope")
