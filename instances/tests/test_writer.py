from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from conftest import Person
from instances.holding import lease, writer
from instances.holding.handlers import HANDLERS, Release
from instances.holding.writer import GROUP_SIZE, CommitUnknown, Item, LeaseLost, Writer, Written
from instances.models import Instance, Worker
from instances.services import draft
from tests.conformance import Arbitrary
from webhooks.models import Event


@dataclass(frozen=True)
class Note:
    """Something to write in these tests: an event with a number in it."""

    number: int


@dataclass
class Notes:
    """The handler of notes: appends an event for each. It can be held up, and fails for bad numbers."""

    groups: list[list[int]] = field(default_factory=list)
    open: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    bad: set[int] = field(default_factory=set)
    bad_later: set[int] = field(default_factory=set)  # once a commit was lost
    database_away: int = 0
    lost_commits: int = 0
    away_after_commit: bool = False

    def __call__(self, items: list[Item], held: dict[str, Instance]) -> Written:
        numbers = [item.value.number for item in items]
        self.entered.set()
        assert self.open.wait(20)
        if self.database_away:
            self.database_away -= 1
            raise OperationalError("the database is away")
        drafts = [draft(held[item.instance_id], "instance.qr", Arbitrary(number=item.value.number)) for item in items]
        Instance.objects.filter(pk=items[0].instance_id).update(detail=str(numbers[-1]))
        if self.bad & set(numbers):
            raise ValueError("a bad number")
        if self.lost_commits and isinstance(items[0].value, Unique):
            self.lost_commits -= 1
            transaction.on_commit(self._lose_the_answer)
        if self.away_after_commit:
            self.away_after_commit = False
            transaction.on_commit(lambda: connection.execute_wrappers.append(self._refuse_once))
        self.groups.append(numbers)
        return Written(numbers, drafts)

    def _lose_the_answer(self) -> None:
        self.bad |= self.bad_later
        raise OperationalError("server closed the connection unexpectedly")

    def _refuse_once(self, *_: Any) -> Any:
        connection.execute_wrappers.remove(self._refuse_once)
        raise OperationalError("the database is away")


@dataclass(frozen=True)
class Unique(Note):
    """A note that must not be written twice."""


@pytest.fixture
def notes(running_writer: Writer) -> Iterator[Notes]:
    handler = Notes()
    handler.open.set()
    writer.handlers[Note] = writer.handlers[Unique] = handler
    writer.once.add(Unique)
    yield handler
    writer.once.discard(Unique)


@pytest.fixture
def submit(running_writer: Writer, held: Instance) -> Callable[..., Future[Any]]:
    def submit(number: int, epoch: int = 1, instance: Instance = held) -> Future[Any]:
        return running_writer.submit(instance.id, epoch, Note(number))

    return submit


Submit = Callable[..., Future[Any]]


def written() -> list[int]:
    rows = list(Event.objects.order_by("sequence"))
    assert [row.sequence for row in rows] == list(range(1, len(rows) + 1))
    return [row.data["number"] for row in rows]


def held_up(notes: Notes, submit: Submit) -> Future[Any]:
    """The writer is in the middle of a first group, so that what comes now becomes one group."""
    notes.open.clear()
    notes.entered.clear()
    first = submit(0)
    assert notes.entered.wait(20)
    return first


def test_a_value_is_committed_when_its_future_is_done(notes: Notes, submit: Submit) -> None:
    assert submit(7).result(20) == 7
    assert written() == [7]


def test_values_are_written_in_the_order_they_came_and_in_groups(notes: Notes, submit: Submit) -> None:
    held_up(notes, submit)
    futures = [submit(number) for number in range(1, GROUP_SIZE + 51)]
    notes.open.set()
    assert [future.result(20) for future in futures] == list(range(1, GROUP_SIZE + 51))
    assert written() == list(range(GROUP_SIZE + 51))
    assert [len(group) for group in notes.groups] == [1, GROUP_SIZE, 50]


def test_threads_keep_their_order_and_leave_no_gap_in_the_events(
    notes: Notes, submit: Submit, alice: Person, make_instance: Callable[..., Instance], held: Instance
) -> None:
    lease_of = {"holder_id": held.holder_id, "epoch": 1, "lease_until": held.lease_until}
    instances = [make_instance(alice, **lease_of) for _ in range(4)]

    def work(instance: Instance) -> None:
        for future in [submit(number, instance=instance) for number in range(50)]:
            future.result(20)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, instances))
    for instance in instances:
        rows = Event.objects.filter(instance_id=instance.id).order_by("sequence")
        assert [(row.sequence, row.data["number"]) for row in rows] == [(n + 1, n) for n in range(50)]


def test_nothing_is_written_for_another_epoch(notes: Notes, submit: Submit) -> None:
    held_up(notes, submit)
    old, now, future = submit(1, epoch=0), submit(2, epoch=1), submit(3, epoch=2)
    notes.open.set()
    assert now.result(20) == 2
    for lost in (old, future):
        with pytest.raises(LeaseLost):
            lost.result(20)
    assert written() == [0, 2]


def test_nothing_is_written_when_another_worker_holds_the_number(
    notes: Notes, submit: Submit, make_worker: Callable[..., Worker]
) -> None:
    Instance.objects.update(holder=make_worker(), epoch=2, lease_until=lease._lease_end())
    for epoch in (1, 2):
        with pytest.raises(LeaseLost):
            submit(1, epoch=epoch).result(20)
    assert written() == []


def test_a_number_that_is_lost_does_not_stop_the_others(
    notes: Notes, submit: Submit, charlie: Person, make_instance: Callable[..., Instance]
) -> None:
    elsewhere = make_instance(charlie)
    held_up(notes, submit)
    lost, kept = submit(1, instance=elsewhere), submit(2)
    notes.open.set()
    assert kept.result(20) == 2
    with pytest.raises(LeaseLost):
        lost.result(20)


def test_a_bad_item_fails_alone(notes: Notes, submit: Submit) -> None:
    notes.bad = {2}
    held_up(notes, submit)
    before, bad, after = submit(1), submit(2), submit(3)
    notes.open.set()
    with pytest.raises(ValueError, match="a bad number"):
        bad.result(20)
    assert (before.result(20), after.result(20)) == (1, 3)
    assert written() == [0, 1, 3]
    assert Instance.objects.get().detail == "3"


def test_a_value_without_a_handler_fails_alone(
    running_writer: Writer, notes: Notes, submit: Submit, held: Instance
) -> None:
    held_up(notes, submit)
    strange, normal = running_writer.submit(held.id, 1, object()), submit(1)
    notes.open.set()
    with pytest.raises(KeyError):
        strange.result(20)
    assert normal.result(20) == 1


def test_while_the_database_is_away_it_is_tried_again(notes: Notes, submit: Submit) -> None:
    notes.database_away = 2
    assert submit(1).result(20) == 1
    assert written() == [1]


def test_a_commit_that_nobody_knows_of_is_not_repeated_for_what_must_be_written_once(
    notes: Notes, submit: Submit, running_writer: Writer, held: Instance
) -> None:
    notes.lost_commits = 1
    with pytest.raises(CommitUnknown):
        running_writer.submit(held.id, 1, Unique(1)).result(20)
    assert submit(2).result(20) == 2
    assert written() == [1, 2]


def test_it_is_not_repeated_either_when_what_was_written_with_it_fails(
    notes: Notes, submit: Submit, running_writer: Writer, held: Instance
) -> None:
    notes.lost_commits, notes.bad_later = 1, {2}
    held_up(notes, submit)
    unknown, bad, good = running_writer.submit(held.id, 1, Unique(1)), submit(2), submit(3)
    notes.open.set()
    with pytest.raises(CommitUnknown):
        unknown.result(20)
    with pytest.raises(ValueError, match="a bad number"):
        bad.result(20)
    assert good.result(20) == 3
    assert written().count(1) == 1


def test_a_statement_that_failed_was_not_committed(notes: Notes, running_writer: Writer, held: Instance) -> None:
    notes.database_away = 2
    assert running_writer.submit(held.id, 1, Unique(1)).result(20) == 1
    assert written() == [1]


def test_a_transaction_that_could_not_begin_was_not_committed(
    notes: Notes, running_writer: Writer, held: Instance
) -> None:
    notes.away_after_commit = True
    for number in (1, 2):
        assert running_writer.submit(held.id, 1, Unique(number)).result(20) == number
    assert written() == [1, 2]


def test_what_nobody_waits_for_waits_for_company(notes: Notes, running_writer: Writer, held: Instance) -> None:
    def patient(number: int) -> Future[Any]:
        return running_writer.submit(held.id, 1, Note(number), urgent=False)

    first, second = patient(1), patient(2)
    assert running_writer.submit(held.id, 1, Note(3)).result(20) == 3
    assert (first.done(), second.done(), notes.groups) == (True, True, [[1, 2, 3]])
    assert patient(4).result(20) == 4


def test_closing_writes_what_waits(notes: Notes, submit: Submit, running_writer: Writer) -> None:
    held_up(notes, submit)
    futures = [submit(number) for number in range(1, 5)]
    closing = threading.Thread(target=running_writer.close)
    closing.start()
    notes.open.set()
    closing.join(20)
    assert all(future.done() for future in futures)
    assert written() == [0, 1, 2, 3, 4]


def test_a_released_number_cannot_be_written(
    running_writer: Writer, notes: Notes, submit: Submit, held: Instance
) -> None:
    running_writer.submit(held.id, 1, Release()).result(20)
    held.refresh_from_db()
    assert (held.holder_id, held.lease_until, held.epoch) == (None, None, 1)
    with pytest.raises(LeaseLost):
        submit(1).result(20)


def test_a_writer_waits_for_whoever_changes_the_instance(notes: Notes, submit: Submit, held: Instance) -> None:
    with transaction.atomic():
        Instance.objects.select_for_update(no_key=True).get(pk=held.pk)
        Instance.objects.filter(pk=held.pk).update(epoch=2)
        future = submit(1)
    with pytest.raises(LeaseLost):
        future.result(20)


def test_the_values_of_the_instance_itself_have_handlers() -> None:
    assert {kind.__name__ for kind in HANDLERS} == {
        *("StateChange", "ShowQr", "ShowPairingCode", "Linked", "Unlinked", "Degraded", "Release")
    }
