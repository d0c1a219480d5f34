"""Recovering what an endpoint missed, and delivering a time range again."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from config.ids import id_at
from conftest import Person, assert_problem, bearer
from webhooks import replays, tasks
from webhooks.blocking import closing_connections
from webhooks.deliveries import take
from webhooks.dispatcher import Dispatcher
from webhooks.events import append
from webhooks.models import Attempt, Delivery, Endpoint, Event, Replay
from webhooks.tests.conftest import Receiver, wait_for
from webhooks.tests.test_deliveries import commit

START = timezone.now() - timedelta(days=1)


@pytest.fixture
def at(draft: Any) -> Callable[..., Event]:
    """Writes an event as if so many minutes after START; its deliveries in this state, or none of them."""

    def write(minutes: int, state: str | None, **fields: Any) -> Event:
        (event,) = append([draft(**fields)])
        ids = list(event.deliveries.values_list("endpoint_id", flat=True))
        Event.objects.filter(pk=event.pk).delete()
        event.pk = id_at(START + timedelta(minutes=minutes), "evt")
        event.save(force_insert=True)
        for endpoint_id in ids if state else ():
            due = timezone.now() if state == "pending" else None
            count = 10 if state == "failed" else 1
            Delivery.objects.create(
                endpoint_id=endpoint_id,
                event=event,
                type=event.type,
                sequence=event.sequence,
                state=state,
                next_attempt_at=due,
                attempt_count=count,
            )
        return event

    return write


def order(person: Person, hook: Endpoint, verb: str = "recover", **body: Any) -> dict[str, Any]:
    if verb == "replay":
        body.setdefault("until", timezone.now().isoformat())
    answer = person.client.post(f"/api/webhooks/{hook.id}/{verb}", {"since": START.isoformat()} | body, format="json")
    assert answer.status_code == 202, answer.json()
    return answer.json()


def finish(person: Person, hook: Endpoint, job: dict[str, Any]) -> dict[str, Any]:
    """Let a worker do all of it; the job as it is then."""
    while replays.run(replay_id=job["id"]):
        pass
    return person.client.get(f"/api/webhooks/{hook.id}/replays/{job['id']}").json()


def open_events(hook: Endpoint) -> list[str]:
    rows = Delivery.objects.filter(endpoint=hook, next_attempt_at__isnull=False, replay=True)
    return list(rows.order_by("event_id").values_list("event_id", flat=True))


def test_recovering_takes_what_failed_for_good_and_what_was_never_tried(
    alice: Person, hook: Endpoint, at: Callable[..., Event]
) -> None:
    failed, missed = at(1, "failed"), at(2, None)
    at(3, "succeeded"), at(4, "pending")
    job = order(alice, hook)
    assert {name: job[name] for name in ("webhook", "kind", "state", "matched", "created", "ended_at")} == {
        "webhook": hook.id, "kind": "recover", "state": "running", "matched": 0, "created": 0, "ended_at": None,
    }  # fmt: skip
    done = finish(alice, hook, job)
    assert (done["state"], done["matched"], done["created"]) == ("completed", 4, 2)
    assert done["ended_at"] is not None
    assert open_events(hook) == [failed.pk, missed.pk]
    again = Delivery.objects.get(event=failed)
    assert (again.state, again.attempt_count) == ("pending", 0)


def test_replaying_takes_what_had_succeeded_as_well_and_leaves_what_is_open(
    alice: Person, hook: Endpoint, at: Callable[..., Event]
) -> None:
    ended = [at(1, "failed"), at(2, None), at(3, "succeeded")]
    at(4, "pending")
    done = finish(alice, hook, order(alice, hook, "replay"))
    assert (done["kind"], done["state"], done["matched"], done["created"]) == ("replay", "completed", 4, 3)
    assert open_events(hook) == [event.pk for event in ended]


def test_only_the_time_range_is_looked_at(alice: Person, hook: Endpoint, at: Callable[..., Event]) -> None:
    events = [at(minutes, None) for minutes in (0, 10, 20, 30)]
    since, until = (START + timedelta(minutes=minutes) for minutes in (10, 30))
    done = finish(alice, hook, order(alice, hook, since=since.isoformat(), until=until.isoformat()))
    assert done["matched"] == 2
    assert open_events(hook) == [event.pk for event in events[1:3]]


def test_what_the_endpoint_does_not_want_now_is_left_out(
    alice: Person, hook: Endpoint, at: Callable[..., Event], draft: Any
) -> None:
    wanted = at(1, None, type="message.sent")
    at(2, None, type="message.received"), at(3, None, type="message.sent", instance_id=None)
    at(4, None, type="message.sent", network="whatsapp")
    at(5, None, type="webhook.failing", instance_id=None, data={"webhook": hook.id})
    at(6, None, type="message.sent", data={"test": True})
    Endpoint.objects.update(mode="test", events=["message.sent", "webhook.*"], instances=[wanted.instance_id])
    assert finish(alice, hook, order(alice, hook))["matched"] == 1
    assert open_events(hook) == [wanted.pk]


def test_a_replay_has_filters_of_its_own(alice: Person, hook: Endpoint, at: Callable[..., Event]) -> None:
    group, person = {"chat": {"id": "1@g.us"}}, {"chat": {"id": "1@s.whatsapp.net"}}
    wanted = at(1, None, data=group)
    at(2, None, data=person), at(3, None, data=group, type="message.sent"), at(4, None, data=group, instance_id=None)
    filters = {"types": ["message.received"], "instances": [wanted.instance_id], "chat_kinds": ["group"]}
    job = order(alice, hook, "replay", **filters)
    assert {name: job[name] for name in filters} == filters
    finish(alice, hook, job)
    assert open_events(hook) == [wanted.pk]


def test_the_receiver_gets_what_it_missed_while_it_was_disabled(
    dispatcher: Dispatcher, alice: Person, hook: Endpoint, receiver: Receiver, draft: Any
) -> None:
    path = f"/api/webhooks/{hook.id}"
    alice.client.patch(path, {"enabled": False}, format="json")
    (event,) = commit(draft())
    assert not hook.deliveries.exists()
    alice.client.patch(path, {"enabled": True}, format="json")
    job = order(alice, hook)
    tasks.replay(job["id"])
    dispatcher.wake(hook.id)
    wait_for(lambda: receiver.requests)
    assert receiver.requests[0].headers["webhook-id"] == event.id
    assert [row["id"] for row in alice.client.get(f"{path}/replays").json()["results"]] == [job["id"]]


def test_what_is_live_is_taken_before_what_is_replayed(
    alice: Person, hook: Endpoint, at: Callable[..., Event], draft: Any
) -> None:
    old = [at(minutes, None) for minutes in range(3)]
    finish(alice, hook, order(alice, hook))
    (live,) = append([draft()])
    batch = take(hook.id, uuid.uuid4(), 3)
    assert batch is not None
    assert [job.event_id for job in batch.jobs] == [live.pk, *[event.pk for event in old[:2]]]


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "STEP", 2)


def test_steps_go_on_where_the_last_one_ended(
    small_steps: None, alice: Person, hook: Endpoint, at: Callable[..., Event]
) -> None:
    events = [at(minutes, None) for minutes in range(5)]
    job = order(alice, hook)
    for count in (2, 4, 5):
        assert replays.step(replay_id=job["id"])
        assert len(open_events(hook)) == Replay.objects.get().created == count
    assert not replays.step(replay_id=job["id"])
    assert open_events(hook) == [event.pk for event in events]
    assert Replay.objects.get().state == "completed"


def test_a_step_that_dies_leaves_nothing_and_is_made_again(
    small_steps: None, alice: Person, hook: Endpoint, at: Callable[..., Event]
) -> None:
    events = [at(minutes, None) for minutes in range(3)]
    job = order(alice, hook)

    class Killed(Exception):
        pass

    def die() -> None:
        with transaction.atomic():
            replays.step(replay_id=job["id"])
            raise Killed

    with pytest.raises(Killed):
        die()
    assert open_events(hook) == []
    assert (Replay.objects.get().matched, Replay.objects.get().cursor < events[0].pk) == (0, True)
    assert finish(alice, hook, job)["created"] == 3
    assert open_events(hook) == [event.pk for event in events]


def test_the_sweeper_finds_what_a_dead_worker_left(alice: Person, hook: Endpoint) -> None:
    job = order(alice, hook)
    assert replays.neglected() == [job["id"]]
    Replay.objects.update(claimed_until=timezone.now() + timedelta(seconds=30))
    assert replays.neglected() == []
    assert not replays.run(replay_id=job["id"])
    assert Replay.objects.get().state == "running"
    Replay.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    assert replays.neglected() == [job["id"]]
    replays.run(replay_id=job["id"])
    assert Replay.objects.get().state == "completed"


def test_no_more_than_a_few_thousand_wait_ahead(
    small_steps: None, monkeypatch: pytest.MonkeyPatch, alice: Person, hook: Endpoint, at: Callable[..., Event]
) -> None:
    monkeypatch.setattr(replays, "MAX_AHEAD", 2)
    for minutes in range(5):
        at(minutes, None)
    job = order(alice, hook)
    for created in (2, 4):
        assert not replays.run(replay_id=job["id"])
        assert Replay.objects.get().created == created
        assert replays.neglected() == [job["id"]]
        Delivery.objects.update(state="succeeded", next_attempt_at=None)
    replays.run(replay_id=job["id"])
    assert (Replay.objects.get().created, Replay.objects.get().state) == (5, "completed")


def test_cancelling_stops_it_and_leaves_what_is_on_its_way(
    small_steps: None, alice: Person, hook: Endpoint, at: Callable[..., Event]
) -> None:
    for minutes in range(4):
        at(minutes, None)
    job = order(alice, hook)
    replays.step(replay_id=job["id"])
    path = f"/api/webhooks/{hook.id}/replays/{job['id']}"
    for _ in range(2):
        assert alice.client.delete(path).status_code == 204
    assert not replays.step(replay_id=job["id"])
    shown = alice.client.get(path).json()
    assert (shown["state"], shown["created"]) == ("cancelled", 2)
    assert len(open_events(hook)) == 2


def test_disabling_the_endpoint_cancels_it(alice: Person, hook: Endpoint, at: Callable[..., Event]) -> None:
    at(1, None)
    job = order(alice, hook)
    Endpoint.objects.update(enabled=False)
    assert finish(alice, hook, job)["state"] == "cancelled"
    assert open_events(hook) == []


def test_a_disabled_endpoint_takes_no_order(alice: Person, hook: Endpoint) -> None:
    Endpoint.objects.update(enabled=False)
    body = {"since": START.isoformat()}
    answer = alice.client.post(f"/api/webhooks/{hook.id}/recover", body, format="json")
    assert_problem(answer, 409, "webhook_disabled")


def test_two_at_once_are_the_most_of_an_organization(alice: Person, hook: Endpoint) -> None:
    other = Endpoint.objects.create(organization=alice.organization, url=hook.url, events=["*"])
    job = order(alice, hook)
    order(alice, other)
    body = {"since": START.isoformat()}
    answer = alice.client.post(f"/api/webhooks/{hook.id}/recover", body, format="json")
    assert assert_problem(answer, 409, "too_many_replays")["limit"] == 2
    finish(alice, hook, job)
    order(alice, hook)


def _iso(**ago: float) -> str:
    return (timezone.now() - timedelta(**ago)).isoformat()


@pytest.mark.parametrize(
    ("verb", "body", "pointer"),
    [
        ("recover", {}, "/since"),
        ("recover", {"since": "yesterday"}, "/since"),
        ("recover", {"since": "2026-01-01T00:00:00"}, "/since"),
        ("recover", {"since": _iso(hours=1), "types": ["*"]}, "/types"),
        ("recover", {"since": _iso(hours=-1)}, "/since"),
        ("recover", {"since": _iso(hours=1), "until": _iso(hours=2)}, "/since"),
        ("recover", {"since": _iso(days=31)}, "/since"),
        ("replay", {"since": _iso(hours=1)}, "/until"),
        ("replay", {"since": _iso(hours=1), "until": _iso(hours=0), "types": ["message.smelled"]}, "/types/0"),
        ("replay", {"since": _iso(hours=1), "until": _iso(hours=0), "instances": ["nonsense"]}, "/instances/0"),
        ("replay", {"since": _iso(hours=1), "until": _iso(hours=0), "chat_kinds": ["people"]}, "/chat_kinds/0"),
    ],
)
def test_bad_orders_are_refused(alice: Person, hook: Endpoint, verb: str, body: dict[str, Any], pointer: str) -> None:
    answer = alice.client.post(f"/api/webhooks/{hook.id}/{verb}", body, format="json")
    assert assert_problem(answer, 400, "invalid_request")["errors"][0]["pointer"] == pointer
    assert not Replay.objects.exists()


def test_charlie_knows_of_no_replay_of_alices(alice: Person, charlie: Person, hook: Endpoint) -> None:
    job = order(alice, hook)
    path = f"/api/webhooks/{hook.id}/replays"
    for call in (charlie.client.get, charlie.client.delete):
        assert_problem(call(f"{path}/{job['id']}"), 404, "not_found")
    assert_problem(charlie.client.get(path), 404, "not_found")
    assert_problem(alice.client.get(f"{path}/rpl_01h455vb4pex5vsknk084sn02q"), 404, "not_found")


def test_a_limited_key_replays_its_own_instances_only(
    alice: Person, hook: Endpoint, make_instance: Any, at: Callable[..., Event]
) -> None:
    mine = make_instance(alice)
    heard = at(1, None, instance_id=mine.id)
    other = at(2, None)
    body = {"name": "Limited", "mode": "test", "scopes": ["webhooks"], "instances": [mine.id]}
    key = bearer(alice.client.post("/api/keys", body, format="json").json()["key"])
    range_ = {"since": START.isoformat(), "until": timezone.now().isoformat()}
    path = f"/api/webhooks/{hook.id}/replay"
    assert_problem(key.post(path, range_, format="json"), 404, "not_found")
    Endpoint.objects.update(mode="test", instances=[mine.id])
    refused = key.post(path, range_ | {"instances": [other.instance_id]}, format="json")
    assert_problem(refused, 403, "permission_denied")
    job = key.post(path, range_, format="json").json()
    finish(alice, hook, job)
    assert open_events(hook) == [heard.pk]


def test_a_replayed_delivery_has_all_its_attempts_ahead_and_the_old_ones_are_still_shown(
    dispatcher: Dispatcher, alice: Person, hook: Endpoint, receiver: Receiver, draft: Any
) -> None:
    commit(draft())
    Delivery.objects.update(state="failed", next_attempt_at=None, attempt_count=10)
    Attempt.objects.create(delivery=Delivery.objects.get(), at=START, duration_ms=1, status=503)
    receiver.answer = lambda number, path: (500, {}, b"")
    finish(alice, hook, order(alice, hook))
    dispatcher.wake(hook.id)
    wait_for(lambda: Attempt.objects.count() == 2)
    row = alice.client.get(f"/api/webhooks/{hook.id}/deliveries").json()["results"][0]
    assert (row["state"], [attempt["status"] for attempt in row["attempts"]]) == ("pending", [503, 500])


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")
def test_what_another_has_written_and_not_committed_is_waited_for(
    committed: None, alice: Person, hook: Endpoint, draft: Any
) -> None:
    Endpoint.objects.update(enabled=False)
    commit(draft())
    written, release = threading.Event(), threading.Event()

    def write_slowly() -> None:
        with transaction.atomic():
            append([draft(type="message.sent")])
            written.set()
            release.wait(10)

    with ThreadPoolExecutor() as threads:
        writer = threads.submit(closing_connections, write_slowly)
        written.wait(10)
        Endpoint.objects.update(enabled=True)
        worker = threads.submit(closing_connections, replays.run, replay_id=order(alice, hook)["id"])
        with pytest.raises(TimeoutError):
            worker.result(0.3)
        release.set()
        writer.result(10), worker.result(10)
    assert Replay.objects.get().state == "completed"
    assert sorted(Delivery.objects.values_list("event__type", flat=True)) == ["message.received", "message.sent"]


def test_what_ended_long_ago_is_dropped(alice: Person, hook: Endpoint) -> None:
    finish(alice, hook, order(alice, hook))
    order(alice, hook)
    replays.prune()
    assert Replay.objects.count() == 2
    Replay.objects.filter(state="completed").update(ended_at=timezone.now() - timedelta(days=31))
    replays.prune()
    assert Replay.objects.get().state == "running"
