"""Deliveries by what is asked for, and how many rows are read for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.utils import timezone

from config.ids import id_at, made_at, new_id
from conftest import Person, assert_problem, bearer
from instances.models import Instance
from webhooks.events import append
from webhooks.models import Attempt, Delivery, Endpoint

pytestmark = pytest.mark.every_case
NOW = datetime(2026, 5, 5, 12, tzinfo=UTC)


@pytest.fixture
def deliveries(alice: Person, hook: Endpoint, draft: Any) -> dict[str, str]:
    """One of each state, the oldest first, made an hour after each other; ids by state."""
    types = {"pending": "message.received", "delivering": "message.sent", "succeeded": "chat.presence"}
    found = {}
    for hour, state in enumerate([*types, "failed"]):
        (event,) = append([draft(type=types.get(state, "message.received"))])
        Delivery.objects.filter(event=event).delete()
        due = None if state in ("succeeded", "failed") else NOW
        row = Delivery.objects.create(
            id=id_at(NOW + timedelta(hours=hour), "dlv"),
            endpoint=hook,
            event=event,
            type=event.type,
            sequence=event.sequence,
            state=state,
            next_attempt_at=due,
        )
        found[state] = row.id
    return found


def states(person: Person, hook: Endpoint, **query: str) -> list[str]:
    answer = person.client.get(f"/api/webhooks/{hook.id}/deliveries?{urlencode(query)}")
    assert answer.status_code == 200, answer.json()
    return [row["state"] for row in answer.json()["results"]]


def test_deliveries_are_found_by_state_type_event_and_time(
    alice: Person, hook: Endpoint, deliveries: dict[str, str]
) -> None:
    everything = ["failed", "succeeded", "delivering", "pending"]
    assert states(alice, hook) == everything
    assert states(alice, hook, state="failed") == ["failed"]
    assert states(alice, hook, state="pending,delivering") == ["delivering", "pending"]
    assert states(alice, hook, type="message.received") == ["failed", "pending"]
    assert states(alice, hook, type="message.sent,chat.presence") == ["succeeded", "delivering"]
    assert states(alice, hook, type="message.received", state="failed") == ["failed"]
    hours = [(NOW + timedelta(hours=hour)).isoformat() for hour in range(5)]
    assert states(alice, hook, since=hours[2]) == ["failed", "succeeded"]
    assert states(alice, hook, until=hours[2]) == ["delivering", "pending"]
    assert states(alice, hook, since=hours[1], until=hours[3]) == ["succeeded", "delivering"]
    assert states(alice, hook, since="0001-01-01T00:00:00Z") == everything
    assert states(alice, hook, until="0001-01-01T00:00:00Z") == []
    event = Delivery.objects.get(state="succeeded").event_id
    assert states(alice, hook, event=event) == ["succeeded"]
    assert states(alice, hook, event=new_id("evt")) == []


@pytest.mark.parametrize(
    "query", ["state=done", "type=message.*", "event=nonsense", "since=yesterday", "until=", "order=up", "state="]
)
def test_unknown_filters_and_values_are_refused(alice: Person, hook: Endpoint, query: str) -> None:
    answer = alice.client.get(f"/api/webhooks/{hook.id}/deliveries?{query}")
    assert_problem(answer, 400, "unknown_parameter" if query.startswith("order") else "invalid_request")


def test_a_delivery_tells_when_it_was_made_and_all_of_its_attempts(
    alice: Person, hook: Endpoint, deliveries: dict[str, str]
) -> None:
    for number in range(2):
        Attempt.objects.create(
            delivery_id=deliveries["failed"],
            at=NOW,
            duration_ms=12,
            status=500 + number,
            response="no",
            request_id="req_1",
        )
    shown = alice.client.get(f"/api/webhooks/{hook.id}/deliveries/{deliveries['failed']}").json()
    assert shown["created_at"] == "2026-05-05T15:00:00.000Z"
    assert [attempt["status"] for attempt in shown["attempts"]] == [500, 501]
    assert shown["attempts"][0] == {
        "at": "2026-05-05T12:00:00.000Z", "request_id": "req_1", "duration_ms": 12, "status": 500, "error": None,
        "response": "no",
    }  # fmt: skip
    other = Endpoint.objects.create(organization=alice.organization, url=hook.url, events=["*"])
    answer = alice.client.get(f"/api/webhooks/{other.id}/deliveries/{deliveries['failed']}")
    assert_problem(answer, 404, "not_found")


def test_a_list_has_the_beginning_of_each_answer_and_one_delivery_all_that_is_kept(
    alice: Person, hook: Endpoint, deliveries: dict[str, str]
) -> None:
    Attempt.objects.create(
        delivery_id=deliveries["failed"], at=NOW, duration_ms=1, status=500, response=499 * "a" + "é" + 9000 * "b"
    )
    path = f"/api/webhooks/{hook.id}/deliveries"
    (row, *_) = alice.client.get(path).json()["results"]
    assert row["attempts"][0]["response"] == 499 * "a" + "é"
    assert len(alice.client.get(f"{path}/{row['id']}").json()["attempts"][0]["response"]) == 9500


def test_the_time_of_an_id_is_that_of_its_making() -> None:
    assert made_at(id_at(NOW, "dlv"), "dlv") == NOW
    assert abs(made_at(new_id("dlv"), "dlv") - timezone.now()) < timedelta(seconds=5)


def test_a_limited_key_sees_no_delivery_of_another_instance_at_an_endpoint_that_once_heard_it(
    alice: Person, make_instance: Any, draft: Any, hook: Endpoint
) -> None:
    mine: Instance = make_instance(alice)
    append([draft(instance_id=mine.id), draft(), draft(instance_id=None)])
    Endpoint.objects.update(mode="test", instances=[mine.id])
    body = {"name": "Limited", "mode": "test", "scopes": ["webhooks"], "instances": [mine.id]}
    key = bearer(alice.client.post("/api/keys", body, format="json").json()["key"])
    rows = key.get(f"/api/webhooks/{hook.id}/deliveries").json()["results"]
    assert [row["event"]["instance"] for row in rows] == [mine.id]
    for delivery in Delivery.objects.exclude(event__instance_id=mine.id):
        assert_problem(key.post(f"/api/deliveries/{delivery.id}/resend"), 404, "not_found")
    assert key.post(f"/api/webhooks/{hook.id}/test").status_code == 202
    assert len(key.get(f"/api/webhooks/{hook.id}/deliveries").json()["results"]) == 2
