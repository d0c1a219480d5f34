from __future__ import annotations

import threading
from typing import Any

import orjson
import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from config.ids import new_id
from webhooks.events import append
from webhooks.models import Counter, Delivery, Endpoint, Event


def test_sequences_of_an_instance_grow_by_one_without_gaps(db: Any, draft: Any) -> None:
    first, second = append([draft(), draft()])
    (third,) = append([draft()])
    assert [first.sequence, second.sequence, third.sequence] == [1, 2, 3]


def test_each_instance_has_its_own_sequence_and_events_keep_the_order_given(db: Any, draft: Any) -> None:
    a, b = new_id("ins"), new_id("ins")
    events = append([draft(instance_id=i, data={"n": n}) for n, i in enumerate([a, b, a, b, a])])
    assert [(e.instance_id, e.sequence, e.data["n"]) for e in events] == [
        (a, 1, 0), (b, 1, 1), (a, 2, 2), (b, 2, 3), (a, 3, 4),
    ]  # fmt: skip


def test_what_is_returned_is_what_is_stored(db: Any, draft: Any) -> None:
    (event,) = append([draft(data={"text": "hëllo", "n": 2**53 - 1, "x": None})])
    assert Event.objects.get(pk=event.id).payload() == event.payload()


def test_the_payload_has_the_documented_fields_and_a_time_in_milliseconds(db: Any, draft: Any) -> None:
    (event,) = append([draft()])
    payload = orjson.loads(event.encoded())
    assert list(payload) == ["id", "type", "version", "timestamp", "instance", "sequence", "data"]
    assert payload["timestamp"] == event.timestamp.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    assert payload["id"].startswith("evt_")


def test_the_time_of_an_instance_never_goes_back_even_if_a_clock_does(db: Any, draft: Any) -> None:
    (first,) = append([draft()])
    Counter.objects.update(clock=Counter.objects.get().clock + 60_000_000)
    (second,) = append([draft()])
    (third,) = append([draft()])
    assert (second.timestamp - first.timestamp).total_seconds() >= 60
    assert second.timestamp == third.timestamp


def test_an_unknown_type_is_refused_and_nothing_is_written(db: Any, draft: Any) -> None:
    with pytest.raises(ValueError, match=r"message\.smelled"):
        append([draft(), draft(type="message.smelled")])
    assert not Event.objects.exists()
    assert not Counter.objects.exists()


def test_append_outside_of_a_transaction_is_refused(committed: None, draft: Any) -> None:
    with pytest.raises(AssertionError):
        append([draft()])


def test_a_rolled_back_event_leaves_no_gap(committed: None, draft: Any) -> None:
    def fail() -> None:
        with transaction.atomic():
            append([draft()])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with transaction.atomic():
        (event,) = append([draft()])
    assert event.sequence == 1


@pytest.mark.parametrize("size", [1, 90])  # SQLite takes 99 deliveries at a time
def test_append_takes_four_statements_for_one_draft_and_for_many(
    db: Any, draft: Any, hook: Endpoint, size: int
) -> None:
    instances = [new_id("ins") for _ in range(7)]
    drafts = [draft(instance_id=instances[n % 7]) for n in range(size)]
    append([draft(instance_id=instance) for instance in instances])
    with CaptureQueriesContext(
        connection,
    ) as queries:
        append(drafts)
    assert len(queries) == 4, [query["sql"][:80] for query in queries]


def test_a_delivery_is_written_for_each_endpoint_that_wants_the_event(db: Any, draft: Any, charlie: Any) -> None:
    mine = {"organization_id": draft().organization_id, "url": "https://example.org"}
    wanted = [
        Endpoint.objects.create(**mine, events=["*"]),
        Endpoint.objects.create(**mine, events=["instance.qr", "message.*"]),
        Endpoint.objects.create(**mine, events=["message.received"], instances=[draft().instance_id]),
        Endpoint.objects.create(**mine, events=["*"], mode="test"),
    ]
    Endpoint.objects.create(**mine, events=["message.sent", "instance.*"])
    Endpoint.objects.create(**mine, events=["*"], instances=[new_id("ins")])
    Endpoint.objects.create(**mine, events=["*"], mode="live")
    Endpoint.objects.create(**mine, events=["*"], enabled=False)
    Endpoint.objects.create(organization=charlie.organization, url="https://example.org", events=["*"])
    (event,) = append([draft()])
    assert set(Delivery.objects.values_list("endpoint_id", "event_id")) == {(e.id, event.id) for e in wanted}


def test_a_live_endpoint_gets_events_of_the_real_network_only(db: Any, draft: Any) -> None:
    live = {"organization_id": draft().organization_id, "url": "https://example.org", "mode": "live"}
    Endpoint.objects.create(**live, events=["*"])
    append([draft(), draft(network="whatsapp", instance_id=new_id("ins"))])
    assert [delivery.event.network for delivery in Delivery.objects.select_related("event")] == ["whatsapp"]


def test_concurrent_appends_leave_no_gap_and_commit_in_the_order_of_sequences(committed: None, draft: Any) -> None:
    a, b = sorted([new_id("ins"), new_id("ins")])
    failures: list[Exception] = []
    running = threading.Event()

    def write(order: list[str]) -> None:
        try:
            for _ in range(15):
                with transaction.atomic():
                    append([draft(instance_id=instance) for instance in order])
        except Exception as error:
            failures.append(error)
        finally:
            connections.close_all()

    def watch() -> None:
        # Whatever is visible at any moment has no hole: sequence n is never seen before n - 1.
        try:
            while not running.is_set():
                seen = sorted(Event.objects.filter(instance_id=a).values_list("sequence", flat=True))
                assert seen == list(range(1, len(seen) + 1))
        except Exception as error:
            failures.append(error)
        finally:
            connections.close_all()

    writers = [threading.Thread(target=write, args=(order,)) for order in ([a, b], [b, a], [a], [b, a, b])]
    watcher = threading.Thread(target=watch)
    for thread in [watcher, *writers]:
        thread.start()
    for thread in writers:
        thread.join()
    running.set()
    watcher.join()
    assert not failures
    for instance, count in ((a, 60), (b, 60)):
        rows = Event.objects.filter(instance_id=instance).order_by("sequence")
        assert [row.sequence for row in rows] == list(range(1, count + 1))
        times = [row.timestamp for row in rows]
        assert times == sorted(times)


def test_an_organization_has_a_stream_of_its_own_on_each_network(db: Any, draft: Any) -> None:
    usage = {"type": "subscription.usage", "instance_id": None}
    events = append([draft(**usage), draft(), draft(**usage), draft(**usage, network="whatsapp")])
    assert [event.sequence for event in events] == [1, 1, 2, 1]
    assert [event.payload()["instance"] is None for event in events] == [True, False, True, True]
