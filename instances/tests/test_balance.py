"""Which numbers a worker gives to another one that has fewer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from conftest import Person
from instances.holding import attachments
from instances.holding.balance import Balance
from instances.holding.lease import claim
from instances.models import Instance, Worker

pytestmark = pytest.mark.django_db
MakeInstance = Callable[..., Instance]
MakeWorker = Callable[..., Worker]


@dataclass
class Number:
    """A held number as the balance sees it."""

    instance_id: str
    idle_seconds: float = 0.0
    movable: bool = True


@pytest.fixture
def old(make_worker: MakeWorker) -> Worker:
    return make_worker(started_at=timezone.now() - timedelta(hours=1))


@pytest.fixture
def hold(alice: Person, make_instance: MakeInstance, old: Worker) -> Callable[[int], list[Any]]:
    """The worker holds so many numbers; the last is idle for longest."""

    def hold(count: int) -> list[Any]:
        for _ in range(count):
            make_instance(alice)
        return [Number(one.pk, float(place)) for place, one in enumerate(claim(old, 0))]

    return hold


def join(make_worker: MakeWorker) -> None:
    make_worker(started_at=timezone.now() - timedelta(minutes=1))


def test_when_another_joins_the_idle_ones_go_first_and_a_few_at_a_time(
    old: Worker, hold: Callable[[int], list[Any]], make_worker: MakeWorker
) -> None:
    numbers, balance = hold(20), Balance(old)
    assert balance.to_give(numbers, {}) == []
    join(make_worker)
    assert balance.to_give(numbers, {}) == numbers[:-6:-1]


def test_once_begun_all_that_is_too_much_goes_and_no_more(
    old: Worker, hold: Callable[[int], list[Any]], make_worker: MakeWorker
) -> None:
    numbers, balance = hold(10), Balance(old)
    join(make_worker)
    sizes = []
    for _ in range(5):
        given = balance.to_give(numbers, {})
        sizes.append(len(given))
        numbers = [number for number in numbers if number not in given]
    assert sizes == [5, 0, 0, 0, 0]


def test_one_too_many_is_not_worth_an_interruption(
    old: Worker, hold: Callable[[int], list[Any]], make_worker: MakeWorker
) -> None:
    numbers = hold(3)
    join(make_worker)
    assert Balance(old).to_give(numbers, {}) == []


def test_nothing_is_given_while_what_was_given_waits_for_somebody(
    alice: Person,
    make_instance: MakeInstance,
    old: Worker,
    hold: Callable[[int], list[Any]],
    make_worker: MakeWorker,
) -> None:
    numbers = hold(10)
    join(make_worker)
    assert Balance(old).to_give(numbers, {"ins_1"}) == []
    make_instance(alice)
    assert Balance(old).to_give(numbers, {}) == []


def test_busy_ones_go_last_and_what_is_being_connected_stays(
    old: Worker, hold: Callable[[int], list[Any]], make_worker: MakeWorker
) -> None:
    numbers = hold(6)
    busy, connecting = numbers[5], numbers[4]
    connecting.movable = False
    join(make_worker)

    def find(ids: list[str]) -> list[str]:
        return [busy.instance_id] if busy.instance_id in ids else []

    attachments.find_work.append(find)
    try:
        assert Balance(old).to_give(numbers, {}) == [numbers[3], numbers[2], numbers[1]]
    finally:
        attachments.find_work.remove(find)
