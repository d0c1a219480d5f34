"""Wake-ups through the real broker."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.core.cache import cache
from django.db import DatabaseError

from config.celery import app
from config.ids import new_id
from conftest import Person, wait_for
from instances import tasks, wakeup
from instances.holding import current
from instances.models import Instance, Worker


@pytest.fixture
def queue() -> str:
    """A queue of the test's own."""
    return f"session.{new_id('wrk')}"


def take(queue: str, count: int) -> list[list[str]]:
    """The next wake-ups of a queue: the instance ids of each."""
    found = []
    with app.connection_for_read() as connection:
        messages = connection.SimpleQueue(queue)
        for _ in range(count):
            message = messages.get(timeout=10)
            found.append(message.payload[0][0])
            message.ack()
        with pytest.raises(messages.Empty):
            messages.get_nowait()
        messages.close()
    return found


def test_one_wake_up_stands_for_a_burst_until_it_is_answered(queue: str) -> None:
    first, last = new_id("ins"), new_id("ins")
    for _ in range(5):
        wakeup.lane(first, queue)
    wakeup.lane(last, queue)
    assert take(queue, 2) == [[first], [last]]
    wakeup.answered(first)
    wakeup.lane(first, queue)
    assert take(queue, 1) == [[first]]


def test_a_number_that_nobody_holds_is_not_woken(queue: str) -> None:
    wakeup.lane(new_id("ins"), None)
    last = new_id("ins")
    wakeup.lane(last, queue)
    assert take(queue, 1) == [[last]]


def test_connecting_wakes_the_workers_of_the_network(
    committed: None,
    alice: Person,
    make_instance: Callable[..., Instance],
    make_worker: Callable[..., Worker],
    queue: str,
) -> None:
    make_worker(queue=queue)
    make_worker(queue=f"{queue}.other", network="whatsapp")
    new = make_instance(alice, wanted="stopped", state="created", phone=None, device_jid=None)
    alice.client.post(f"/api/instances/{new.id}/connect")
    assert take(queue, 1) == [[]]


def test_stopping_wakes_the_holder(
    committed: None, alice: Person, instance: Instance, worker: Worker, queue: str
) -> None:
    Worker.objects.update(queue=queue)
    Instance.objects.update(holder=worker)
    alice.client.post(f"/api/instances/{instance.id}/stop")
    assert take(queue, 1) == [[instance.id]]


class Sleeper:
    """Stands in for the holder of this process."""

    def __init__(self) -> None:
        self.woken: list[list[str]] = []

    def wake(self, instance_ids: list[str]) -> None:
        self.woken.append(instance_ids)


@pytest.fixture
def sleeper() -> Iterator[Sleeper]:
    current.holder = Sleeper()
    yield current.holder
    current.holder = None


def test_the_task_wakes_the_holder_of_its_process(sleeper: Sleeper) -> None:
    tasks.wake(["ins_1"])
    assert sleeper.woken == [["ins_1"]]


def test_the_task_does_nothing_in_another_worker() -> None:
    assert current.holder is None
    tasks.wake(["ins_1"])


def test_a_hint_that_fails_does_not_stop_the_next(queue: str) -> None:
    def fail() -> None:
        raise DatabaseError("the database is away")

    wakeup._sender().put(fail)
    instance_id = new_id("ins")

    def arrived() -> bool:
        wakeup.lane(instance_id, queue)
        return cache.get(f"wake:{instance_id}") is not None

    wait_for(arrived)
    assert take(queue, 1) == [[instance_id]]
