"""What an endpoint may ask for beyond a URL and types of events, and how it says how it is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from audit.models import Entry
from config.timestamps import iso
from conftest import Person, assert_problem
from webhooks.dispatcher import Dispatcher
from webhooks.events import append
from webhooks.models import Delivery, Endpoint
from webhooks.tests.conftest import Receiver, wait_for
from webhooks.tests.test_api import URL, create
from webhooks.tests.test_deliveries import commit

HEADERS = {"Authorization": "Bearer planted", "X-Shop": "7"}


def change(person: Person, endpoint_id: str, **fields: Any) -> dict[str, Any]:
    answer = person.client.patch(f"/api/webhooks/{endpoint_id}", fields, format="json")
    assert answer.status_code == 200, answer.json()
    return answer.json()


def test_headers_are_shown_without_their_values_and_replaced_as_a_whole(alice: Person) -> None:
    created = create(alice, headers=HEADERS)
    assert created["headers"] == dict.fromkeys(HEADERS, "***")
    assert Endpoint.objects.get().headers == HEADERS
    with connection.cursor() as cursor:
        cursor.execute("SELECT headers FROM webhooks_endpoint")
        assert "planted" not in str(cursor.fetchone())
    assert change(alice, created["id"], headers={"X-Other": "1"})["headers"] == {"X-Other": "***"}
    assert change(alice, created["id"], headers={})["headers"] == {}
    changes = list(Entry.objects.filter(subject=created["id"]).order_by("sequence").values_list("changes", flat=True))
    assert [c["headers"] for c in changes] == [
        ["Authorization", "X-Shop"],
        [["Authorization", "X-Shop"], ["X-Other"]],
        [["X-Other"], []],
    ]


def test_headers_are_sent_with_each_delivery_beside_ours(
    dispatcher: Dispatcher, alice: Person, receiver: Receiver, draft: Any
) -> None:
    created = create(alice, url=receiver.url, headers=HEADERS)
    commit(draft())
    dispatcher.wake(created["id"])
    wait_for(lambda: receiver.requests)
    sent = receiver.requests[0].headers
    assert (sent["authorization"], sent["x-shop"]) == ("Bearer planted", "7")
    assert sent["webhook-id"].startswith("evt_")


@pytest.mark.parametrize(
    ("headers", "pointer", "code"),
    [
        ({"Host": "example.org"}, "/headers/Host", "reserved_header"),
        ({"content-type": "text/plain"}, "/headers/content-type", "reserved_header"),
        ({"Content-Length": "0"}, "/headers/Content-Length", "reserved_header"),
        ({"Transfer-Encoding": "chunked"}, "/headers/Transfer-Encoding", "reserved_header"),
        ({"CONNECTION": "close"}, "/headers/CONNECTION", "reserved_header"),
        ({"Webhook-Signature": "v1,mine"}, "/headers/Webhook-Signature", "reserved_header"),
        ({"webhook-anything": "x"}, "/headers/webhook-anything", "reserved_header"),
        ({"User-Agent": "me"}, "/headers/User-Agent", "reserved_header"),
        ({"X-Request-Id": "1"}, "/headers/X-Request-Id", "reserved_header"),
        ({"Proxy-Authorization": "x"}, "/headers/Proxy-Authorization", "reserved_header"),
        ({"": "x"}, "/headers", "invalid_header"),
        ({"a b": "x"}, "/headers/a b", "invalid_header"),
        ({"a:b": "x"}, "/headers/a:b", "invalid_header"),
        ({"a/b": "x"}, "/headers/a~1b", "invalid_header"),
        ({"ä": "x"}, "/headers/ä", "invalid_header"),
        ({"a\r\nb": "x"}, "/headers/a\r\nb", "invalid_header"),
        ({"a": "x\r\nHost: y"}, "/headers/a", "invalid_header"),
        ({"a": "x\n"}, "/headers/a", "invalid_header"),
        ({"a": "x\x00"}, "/headers/a", "invalid_header"),
        ({"a": "ü"}, "/headers/a", "invalid_header"),
        ({"a": " x"}, "/headers/a", "invalid_header"),
        ({"a": ""}, "/headers/a", "invalid_header"),
        ({"X-A": "1", "x-a": "2"}, "/headers", "repeated_header"),
        ({f"a{n}": "x" for n in range(21)}, "/headers", "too_many_headers"),
        ({"a": 4096 * "x"}, "/headers", "headers_too_long"),
        ({"a": 7}, "/headers", "not_an_object"),
        (["a"], "/headers", "not_an_object"),
        (None, "/headers", "null"),
    ],
)
def test_headers_that_are_not_to_be_sent_are_refused(alice: Person, headers: Any, pointer: str, code: str) -> None:
    body = {"url": URL, "events": ["*"], "headers": headers}
    refused = assert_problem(alice.client.post("/api/webhooks", body, format="json"), 400, "invalid_request")
    assert [(error["pointer"], error["code"]) for error in refused["errors"]] == [(pointer, code)]
    assert not Endpoint.objects.exists()


def test_as_many_headers_as_there_may_be_are_taken(alice: Person) -> None:
    create(alice, headers={f"a{n:02}": "x" * 201 for n in range(19)} | {"b19": "x" * 217})
    assert sum(len(name) + len(value) for name, value in Endpoint.objects.get().headers.items()) == 4096


CHATS = {
    "person": "15550100001@s.whatsapp.net",
    "group": "120363@g.us",
    "newsletter": "120363@newsletter",
    "status": "status@broadcast",
}


@pytest.mark.parametrize("kind", CHATS)
def test_an_endpoint_for_a_kind_of_chat_gets_events_of_such_chats_alone(alice: Person, draft: Any, kind: str) -> None:
    every, some = create(alice), create(alice, chat_kinds=[kind])
    assert (every["chat_kinds"], some["chat_kinds"]) == (None, [kind])
    events = {name: append([draft(data={"chat": {"id": jid}})])[0] for name, jid in CHATS.items()}
    append([draft(data={})])
    got = Delivery.objects.filter(endpoint=some["id"]).values_list("event_id", flat=True)
    assert list(got) == [events[kind].id]
    assert Delivery.objects.filter(endpoint=every["id"]).count() == 5
    assert change(alice, some["id"], chat_kinds=None)["chat_kinds"] is None


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"chat_kinds": []}, "/chat_kinds"),
        ({"chat_kinds": ["people"]}, "/chat_kinds/0"),
        ({"chat_kinds": "group"}, "/chat_kinds"),
        ({"ordering": "strict"}, "/ordering"),
        ({"ordering": None}, "/ordering"),
    ],
)
def test_unknown_kinds_of_chats_and_orders_are_refused(alice: Person, fields: dict[str, Any], pointer: str) -> None:
    body = {"url": URL, "events": ["*"]} | fields
    refused = assert_problem(alice.client.post("/api/webhooks", body, format="json"), 400, "invalid_request")
    assert refused["errors"][0]["pointer"] == pointer


def test_the_order_of_chats_is_kept_where_that_is_wanted(alice: Person, draft: Any) -> None:
    created = create(alice)
    assert created["ordering"] == "none"
    assert change(alice, created["id"], ordering="chat")["ordering"] == "chat"
    (event,) = append([draft()])
    assert Delivery.objects.get().lane == event.lane


def test_an_endpoint_says_how_it_is_and_is_found_by_it(alice: Person) -> None:
    active, failing, disabled = (create(alice)["id"] for _ in range(3))
    then = timezone.now() - timedelta(hours=2)
    Endpoint.objects.filter(pk=failing).update(failing_since=then)
    change(alice, disabled, enabled=False)
    rows = {row["id"]: row for row in alice.client.get("/api/webhooks").json()["results"]}
    assert [(rows[i]["state"], rows[i]["reason"]) for i in (active, failing, disabled)] == [
        ("active", None), ("failing", "no_success"), ("disabled", "disabled_by_user"),
    ]  # fmt: skip
    assert rows[failing]["since"] == iso(then)
    assert rows[disabled]["since"] is not None
    assert rows[active]["since"] is None
    for query, found in (("active", [active]), ("failing", [failing]), ("disabled,active", [disabled, active])):
        rows_found = alice.client.get(f"/api/webhooks?state={query}").json()["results"]
        assert [row["id"] for row in rows_found] == found
    assert_problem(alice.client.get("/api/webhooks?state=ill"), 400, "invalid_request")


def test_disabling_once_more_leaves_the_reason_and_the_time(alice: Person) -> None:
    created = create(alice)
    then = timezone.now() - timedelta(days=1)
    Endpoint.objects.update(enabled=False, disabled_code="receiver_gone", disabled_at=then)
    changed = change(alice, created["id"], enabled=False, description="still")
    assert (changed["reason"], changed["since"]) == ("receiver_gone", iso(then))


def test_an_endpoint_says_when_its_next_attempt_is_due(alice: Person, draft: Any) -> None:
    created = create(alice)
    path = f"/api/webhooks/{created['id']}"
    assert created["next_attempt_at"] is None
    append([draft(), draft()])
    soon = timezone.now() + timedelta(minutes=5)
    Delivery.objects.update(next_attempt_at=soon)
    later = Delivery.objects.order_by("id").values("id")[:1]
    Delivery.objects.filter(pk__in=list(later.values_list("id", flat=True))).update(
        next_attempt_at=soon + timedelta(1), state="pending"
    )
    assert alice.client.get(path).json()["next_attempt_at"] == iso(soon)
    assert change(alice, created["id"], enabled=False)["next_attempt_at"] is None
