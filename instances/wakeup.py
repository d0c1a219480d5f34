"""Wake-ups for workers: hints through the broker, each of which may be lost.

Whoever needs the broker hands the hint to a thread of this process, so that a broker that is away
neither fails nor delays a request. What got lost is found again by the holder's own poll.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from functools import lru_cache

import redis
import structlog
from django.core.cache import cache
from django.db import Error as DatabaseFailure
from django.db import connection
from kombu.exceptions import OperationalError

from config.celery import app
from instances.models import Instance, Worker

log = structlog.get_logger(__name__)
_BURST_SECONDS = 5  # an unanswered wake-up blocks further ones no longer than this
_QUEUE_SIZE = 10_000


class _Sender:
    """One daemon thread that talks to the broker."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[Callable[[], None]] = queue.Queue(_QUEUE_SIZE)
        threading.Thread(target=self._run, name="wake-ups", daemon=True).start()

    def put(self, send: Callable[[], None]) -> None:
        try:
            self._waiting.put_nowait(send)
        except queue.Full:
            log.warning("wake_ups_dropped", waiting=_QUEUE_SIZE)

    def _run(self) -> None:
        quiet_until = 0.0
        while True:
            send = self._waiting.get()
            if time.monotonic() < quiet_until:
                continue
            try:
                send()
            except (redis.RedisError, OperationalError, OSError, DatabaseFailure) as error:
                log.warning("wake_up_failed", error=repr(error))
                quiet_until = time.monotonic() + 1


@lru_cache(maxsize=1)
def _sender() -> _Sender:
    return _Sender()


def _key(instance_id: str) -> str:
    return f"wake:{instance_id}"


def _send(queue_name: str, instance_ids: list[str]) -> None:
    app.send_task("instances.tasks.wake", [instance_ids], queue=queue_name, expires=60)


def workers(network: str) -> None:
    """Have every session worker of a network look for numbers to claim."""

    def send() -> None:
        for name in Worker.objects.filter(network=network).taking().values_list("queue", flat=True):
            _send(name, [])

    _sender().put(_closing(send))


def flush(seconds: float) -> None:
    """Wait until the hints given so far are sent, but no longer than this; for the end of a process."""
    sent = threading.Event()
    _sender().put(sent.set)
    sent.wait(seconds)


def holder_of(instance_id: str) -> None:
    """Have the holder of an instance look at it again."""

    def send() -> None:
        name = Instance.objects.filter(pk=instance_id).values_list("holder__queue", flat=True).first()
        if name:
            _send(name, [instance_id])

    _sender().put(_closing(send))


def lane(instance_id: str, queue_name: str | None) -> None:
    """Wake the lane of an instance held by the worker of that queue; one wake-up for a whole burst."""
    if queue_name is None:
        return

    def send() -> None:
        if cache.add(_key(instance_id), 1, timeout=_BURST_SECONDS):
            _send(queue_name, [instance_id])

    _sender().put(send)


def task(name: str, *arguments: str | int) -> None:
    """Hint to the task worker that a task has something to do."""

    def send() -> None:
        app.send_task(name, list(arguments), expires=600)

    _sender().put(send)


def answered(instance_id: str) -> None:
    """The lane is about to look at its queue: whoever commits from now on wakes it again."""
    try:
        cache.delete(_key(instance_id))
    except redis.RedisError as error:
        log.warning("wake_up_not_answered", error=repr(error))


def _closing(send: Callable[[], None]) -> Callable[[], None]:
    """Give the thread's database connection back after use; nobody else would."""

    def run() -> None:
        try:
            send()
        finally:
            connection.close()

    return run
