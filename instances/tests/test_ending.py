from __future__ import annotations

import threading
from typing import Any

import pytest
from pytest_django import Settings

from instances.holding import lease
from instances.holding.ending import end_all
from instances.models import Worker


class Number:
    """A held number that is closed at once, if anybody asks for it."""

    def __init__(self, instance_id: str) -> None:
        self.instance_id, self.closed, self.left = instance_id, 0, False

    def close(self, deadline: float) -> None:
        self.closed += 1

    def leave(self) -> None:
        self.left = True


@pytest.mark.django_db
def test_a_number_that_is_being_closed_is_waited_for_and_not_closed_again(worker: Worker) -> None:
    one, other = Number("one"), Number("other")
    numbers: dict[str, Any] = {"one": one, "other": other}
    may_end, released = threading.Event(), []
    closing = threading.Thread(target=may_end.wait, daemon=True)
    closing.start()

    def release(number: Any) -> None:
        released.append((number.instance_id, closing.is_alive()))
        may_end.set()

    end_all(worker, numbers, {"one": closing}, lambda: None, release, 20)
    assert released == [("other", True), ("one", False)]
    assert (one.closed, other.closed, one.left, other.left) == (0, 1, True, True)


def moments(worker: Worker, count: int) -> int:
    """At how many looks, one after the other, further ones of so many numbers were closed."""
    numbers: dict[str, Any] = {str(number): Number(str(number)) for number in range(count)}
    looks: list[list[str]] = [[]]
    end_all(
        worker, numbers, {}, lambda: looks.append([]), lambda number: looks[-1].append(number.instance_id), seconds=20
    )
    assert sorted(one for look in looks for one in look) == sorted(numbers)
    return sum(map(bool, looks))


@pytest.mark.django_db
def test_numbers_are_closed_as_fast_as_others_take_them(worker: Worker, settings: Settings) -> None:
    settings.SESSION_CONNECTS_PER_SECOND = 2
    lease.register("other", worker.network, "session.other")
    assert moments(worker, 4) >= 3


@pytest.mark.django_db
def test_numbers_that_nobody_takes_are_closed_at_once(worker: Worker, settings: Settings) -> None:
    settings.SESSION_CONNECTS_PER_SECOND = 1
    lease.drain(lease.register("other", worker.network, "session.other"))
    assert moments(worker, 10) <= 5
