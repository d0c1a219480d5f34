"""What is kept no longer goes, in steps that a crash cannot harm, and readers are told."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from config.ids import from_uuid
from conftest import Person
from webhooks import cursors, pruning, selectors
from webhooks.events import append
from webhooks.models import Attempt, Counter, Delivery, Endpoint, Event


def aged(event: Event, days: float) -> str:
    """Turn an event, with its deliveries, into one that is so old; returns its id."""
    moment = timezone.now() - timedelta(days=days)
    old = from_uuid(uuid.UUID(int=(int(moment.timestamp() * 1000) << 80) + event.sequence), "evt")
    columns = {field.attname: getattr(event, field.attname) for field in Event._meta.fields}
    deliveries = list(Delivery.objects.filter(event_id=event.pk))
    Event.objects.filter(pk=event.pk).delete()
    Event.objects.create(**columns | {"id": old, "timestamp": moment})
    for delivery in deliveries:
        delivery.event_id = old
        delivery.save(force_insert=True)
        Attempt.objects.create(delivery=delivery, at=moment, duration_ms=1, status=500)
    return old


def test_pruning_drops_what_is_older_than_the_setting_with_all_that_hangs_on_it(
    db: Any, hook: Endpoint, draft: Any, settings: Any
) -> None:
    settings.EVENTS_KEEP_DAYS = 10
    written = append([draft() for _ in range(3)])
    aged(written[0], 11)
    kept = [aged(written[1], 9), written[2].id]
    assert pruning.prune() is False
    assert set(Event.objects.values_list("id", flat=True)) == set(kept)
    assert set(Delivery.objects.values_list("event_id", flat=True)) == set(kept)
    assert Attempt.objects.count() == 1


def test_a_reader_that_comes_too_late_is_told_how_much_was_pruned(db: Any, alice: Person, draft: Any) -> None:
    written = append([draft() for _ in range(5)] + [draft(instance_id=None, type="subscription.usage")] * 2)
    start = selectors.read(alice.actor, cursors.BEGINNING, limit=1).positions
    for event in (*written[:3], written[5]):
        aged(event, 31)
    pruning.prune()
    assert sorted(Counter.objects.values_list("pruned", flat=True)) == [1, 3]
    found = selectors.read(alice.actor, start, limit=10)
    assert (len(found.events), found.skipped) == (3, 3)
    assert append([draft()])[0].sequence == 6


def test_killed_after_any_statement_pruning_goes_on_and_counts_what_is_gone(
    committed: None, alice: Person, hook: Endpoint, draft: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def kill(left: list[int]) -> Any:
        def run(execute: Any, *given: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return execute(*given)

        return run

    monkeypatch.setattr(pruning, "_STEP", 2)
    with transaction.atomic():
        written = append([draft() for _ in range(5)])
    for event in written[:4]:
        aged(event, 31)
    kills, more = 0, True
    while more:
        try:
            with connection.execute_wrapper(kill([kills])):
                more = pruning.prune()
        except Killed:
            kills += 1
        (counter,) = Counter.objects.all()
        assert Event.objects.count() == counter.value - counter.pruned
    assert kills > 5
    assert counter.pruned == 4
    assert set(Delivery.objects.values_list("event_id", flat=True)) == {written[4].id}


def test_a_step_takes_as_many_statements_for_ten_events_as_for_a_hundred(db: Any, hook: Endpoint, draft: Any) -> None:
    counts = []
    for size in (10, 100):
        for event in append([draft() for _ in range(size)]):
            aged(event, 31)
        with CaptureQueriesContext(connection) as queries:
            pruning.prune()
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_pruning_drops_endpoints_that_were_deleted_an_hour_ago(
    db: Any, alice: Person, hook: Endpoint, draft: Any
) -> None:
    append([draft()])
    alice.client.delete(f"/api/webhooks/{hook.id}")
    pruning.prune()
    assert Endpoint.objects.exists()
    Endpoint.objects.update(deleted_at=timezone.now() - timedelta(hours=2))
    pruning.prune()
    assert not Endpoint.objects.exists()
    assert not Delivery.objects.exists()
    assert Event.objects.count() == 1


def test_of_a_deleted_instance_nothing_is_left_and_cursors_that_name_it_stay_good(
    db: Any, alice: Person, make_instance: Any, draft: Any, settings: Any
) -> None:
    settings.EVENTS_KEEP_DAYS = 10
    deleted, quiet, heard = (make_instance(alice) for _ in range(3))
    instances = [deleted.id, quiet.id, heard.id]
    written = append([draft(instance_id=one) for one in instances for _ in range(2)])
    whole = selectors.read(alice.actor, cursors.BEGINNING, limit=100).positions
    half = cursors.Positions(dict.fromkeys(whole, 1))
    for event in written:
        aged(event, 15)
    append([draft(instance_id=heard.id)])
    deleted.delete()

    Counter.objects.update(clock=_clock(days=15))
    assert pruning.prune() is False
    assert Counter.objects.count() == 3, "who was away is still told what it missed"
    assert selectors.read(alice.actor, half, limit=100).skipped == 3

    Counter.objects.update(clock=_clock(days=21))
    assert pruning.prune() is False
    assert set(Counter.objects.values_list("instance_id", flat=True)) == {quiet.id, heard.id}
    for positions in (whole, half, cursors.decode(cursors.encode(whole))):
        found = selectors.read(alice.actor, positions, limit=100)
        assert [event.instance_id for event in found.events] == [heard.id]
        assert len(found.positions) == 2, "the next cursor is shorter"
    assert selectors.read(alice.actor, whole, limit=100).skipped == 0


def test_a_counter_that_moves_while_it_is_looked_at_stays(
    db: Any, alice: Person, draft: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for event in append([draft()]):
        aged(event, 70)

    def meanwhile(instance_ids: Any) -> set[str]:
        append([draft()])
        return set()

    monkeypatch.setattr(pruning, "existing", [meanwhile])
    pruning._drop_events()
    Counter.objects.update(clock=_clock(days=70))
    assert pruning._drop_counters() == 0
    assert Counter.objects.get().value == 2


def _clock(days: int) -> int:
    return int((timezone.now() - timedelta(days=days)).timestamp() * 1_000_000)
