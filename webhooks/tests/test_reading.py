"""Readers with a cursor: what they get, in which order, and that they miss nothing whoever writes at the time."""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from accounts.actor import Actor
from accounts.models import Scope
from config.ids import new_id
from conftest import Person
from webhooks import cursors, selectors
from webhooks.events import append
from webhooks.models import Counter, Event
from webhooks.selectors import Read, read

Appending = Callable[..., list[Event]]


@pytest.fixture
def actor(alice: Person) -> Actor:
    return alice.actor


@pytest.fixture
def add(draft: Any) -> Appending:
    """Appends so many events of each instance, in turn."""

    def append_some(*instances: str | None, count: int = 1, **fields: Any) -> list[Event]:
        return append([draft(instance_id=one, **fields) for _ in range(count) for one in instances])

    return append_some


def pages(actor: Actor, positions: cursors.Positions = cursors.BEGINNING, **fields: Any) -> list[Read]:
    """All there is now; each page goes on from the cursor of the one before."""
    found = [read(actor, positions, **({"limit": 100} | fields))]
    while found[-1].more:
        after = cursors.decode(cursors.encode(found[-1].positions))
        found.append(read(actor, after, **({"limit": 100} | fields)))
    return found


def ids(found: Sequence[Read]) -> list[str]:
    return [event.id for page in found for event in page.events]


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_pages_hold_each_event_once_by_time(db: Any, actor: Actor, add: Appending, limit: int) -> None:
    a, b, c = (new_id("ins") for _ in range(3))
    written = [*add(a, b, count=3), *add(c), *add(a, None, count=4, type="subscription.usage"), *add(b, c, count=2)]
    found = pages(actor, limit=limit)
    assert {len(page.events) for page in found[:-1]} <= {limit}
    assert sorted(ids(found)) == sorted(event.id for event in written)
    times = [event.timestamp for page in found for event in page.events]
    assert times == sorted(times)
    assert not any(page.skipped for page in found)
    assert [event.payload() for event in found[0].events[:1]] == [written[0].payload()]


def test_a_cursor_goes_on_where_its_page_ended_with_what_is_new(db: Any, actor: Actor, add: Appending) -> None:
    a, b = new_id("ins"), new_id("ins")
    add(a, count=5)
    end = read(actor, cursors.LATEST, limit=100)
    assert (end.events, end.more, end.skipped) == ([], False, 0)
    new = [*add(b, count=2), *add(a)]
    assert ids(pages(actor, cursors.decode(cursors.encode(end.positions)))) == [event.id for event in new]


def test_what_a_type_filter_leaves_out_is_passed_over(db: Any, actor: Actor, add: Appending, monkeypatch: Any) -> None:
    monkeypatch.setattr(selectors, "MOST_ROWS", 10)
    a, b = new_id("ins"), new_id("ins")
    add(a, b, count=20, type="message.queued")
    (wanted,) = add(b, type="instance.qr")
    found = pages(actor, types=["instance.*"])
    assert ids(found) == [wanted.id]
    assert len(found) == 5
    assert ids(pages(actor, found[-1].positions)) == []


def test_a_filter_by_instances_leaves_the_others_where_they_are(db: Any, actor: Actor, add: Appending) -> None:
    a, b = new_id("ins"), new_id("ins")
    of_a, of_b, own = add(a)[0], add(b)[0], add(None, type="subscription.usage")[0]
    found = pages(actor, instances=[a])
    assert ids(found) == [of_a.id]
    assert ids(pages(actor, found[-1].positions)) == [of_b.id, own.id]


def test_a_reader_gets_what_it_may_see_whatever_its_cursor_names(
    db: Any, actor: Actor, add: Appending, charlie: Person
) -> None:
    a, b = new_id("ins"), new_id("ins")
    sandbox, real = add(a)[0], add(b, network="whatsapp")[0]
    own = add(None, type="subscription.usage")[0]
    everything = read(actor, cursors.BEGINNING, limit=100).positions

    def key(mode: str, *instances: str) -> Actor:
        limited = frozenset(instances) or None
        return Actor(actor.organization_id, "key", new_id("key"), frozenset(Scope.values), mode, limited)

    assert ids(pages(key("test"))) == [sandbox.id, own.id]
    assert ids(pages(key("live"))) == [real.id]
    assert ids(pages(key("test", a))) == [sandbox.id]
    assert ids(pages(charlie.actor)) == ids(pages(charlie.actor, everything)) == []
    assert read(charlie.actor, everything, limit=1).positions == {}


def test_what_was_pruned_is_counted_for_who_comes_too_late_and_for_nobody_else(
    db: Any, actor: Actor, add: Appending
) -> None:
    a, b = new_id("ins"), new_id("ins")
    add(a, b, count=10)
    early = read(actor, cursors.BEGINNING, limit=4).positions
    assert sorted(early.values()) == [2, 2]
    Event.objects.filter(instance_id=a, sequence__lte=5).delete()
    Counter.objects.filter(instance_id=a).update(pruned=5)
    (late,) = pages(actor, early)
    assert (late.skipped, len(late.events)) == (3, 13)
    (fresh,) = pages(actor)
    assert (fresh.skipped, len(fresh.events)) == (0, 15)


def test_what_is_pruned_while_it_is_read_is_counted_too(db: Any, actor: Actor, add: Appending) -> None:
    a, b = new_id("ins"), new_id("ins")
    add(a, b, count=6)
    Event.objects.filter(instance_id=a, sequence__lte=2).delete()  # the counters were read before
    Event.objects.filter(instance_id=b).delete()
    found = pages(actor)
    assert sum(page.skipped for page in found) == 8
    assert len(ids(found)) == 4


def test_a_cursor_beyond_the_end_of_a_restored_log_hears_what_comes(db: Any, actor: Actor, add: Appending) -> None:
    a = new_id("ins")
    add(a, count=3)
    stream = Counter.objects.get().stream.hex
    found = read(actor, {stream: 1000}, limit=10)
    new = add(a)
    assert ids(pages(actor, found.positions)) == [new[0].id]


def test_reading_takes_three_queries_for_one_stream_and_for_three_hundred(
    db: Any, actor: Actor, add: Appending
) -> None:
    for count in (1, 300):
        add(*(new_id("ins") for _ in range(count)), None, count=3, type="subscription.usage")
        with CaptureQueriesContext(connection) as queries:
            found = read(actor, cursors.BEGINNING, limit=100)
        assert len(queries) == 3
        assert len(found.events) == min(100, 3 * (count + 1))


@pytest.mark.parametrize("types", [None, ["message.received"]])
def test_nothing_is_missed_while_many_write_and_hold_their_transactions_open(
    committed: None, actor: Actor, draft: Any, types: list[str] | None
) -> None:
    """Transactions over several instances commit in another order than that in which they wrote."""
    instances = [new_id("ins") for _ in range(5)]
    failures: list[BaseException] = []

    def write(number: int) -> None:
        dice = random.Random(number)
        try:
            for _ in range(12):
                with transaction.atomic():
                    first, *rest = dice.sample(instances, dice.randint(1, 3))
                    append([draft(instance_id=first)])
                    time.sleep(dice.random() / 50)
                    append([draft(instance_id=one) for one in rest if one > first])  # no two may wait for each other
                    time.sleep(dice.random() / 50)
        except BaseException as error:
            failures.append(error)
        finally:
            connections.close_all()

    writers = [threading.Thread(target=write, args=[number]) for number in range(8)]
    for writer in writers:
        writer.start()
    seen: list[Event] = []
    positions = cursors.BEGINNING
    written = False
    while not written:
        written = not any(writer.is_alive() for writer in writers)  # looked at before the last page is read
        page = read(actor, positions, limit=3, types=types)
        while page.events or page.more:
            seen += page.events
            page = read(actor, cursors.decode(cursors.encode(page.positions)), limit=3, types=types)
        assert page.skipped == 0
        positions = cursors.decode(cursors.encode(page.positions))
    assert not failures
    assert len(seen) == len({event.id for event in seen}) == Event.objects.count() > 100
    order = defaultdict(list)
    for event in seen:
        order[event.instance_id].append(event.sequence)
    assert set(order) == set(instances)
    assert all(sequences == list(range(1, len(sequences) + 1)) for sequences in order.values())
