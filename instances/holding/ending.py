"""The end of a session worker: its numbers are closed, no faster than others can take them; each is free when it is."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

import structlog
from django.conf import settings
from django.db import DatabaseError, connection

from instances.holding import lease
from instances.models import Worker

if TYPE_CHECKING:
    from instances.holding.connection import Connection

log = structlog.get_logger(__name__)

_BEGUN_WITHIN = 0.4  # of the time for all: then the last one is being closed at the latest
_COUNT_SECONDS = 0.5
T = TypeVar("T")


def end_all(
    worker: Worker,
    numbers: dict[str, Connection],
    closing: Mapping[str, threading.Thread],
    renew: Callable[[], None],
    release: Callable[[Connection], None],
    seconds: float,
) -> None:
    """Close all numbers within so many seconds. ``renew`` is called all the time, ``release`` for each that is closed;
    what is not closed by then stays in ``numbers``. One whose thread is in ``closing`` is being closed already.

    While others take numbers, they are closed at the pace at which those begin connections: a number that were closed
    before its turn there would only be offline for longer. When nobody takes any, all are closed at once.
    """
    began = next_at = counted_at = time.monotonic()
    _try(lambda: lease.drain(worker))
    held = list(numbers.values())
    gap = _gap(worker, len(held), seconds)
    endings: dict[Connection, threading.Thread] = {}
    waiting: deque[Connection] = deque()
    for number in held:
        number.leave()
        if ending := closing.get(number.instance_id):
            endings[number] = ending
        else:
            waiting.append(number)
    while (waiting or endings) and time.monotonic() < began + seconds:
        if waiting and time.monotonic() - counted_at > _COUNT_SECONDS:
            gap, counted_at = _gap(worker, len(held), seconds), time.monotonic()
        while waiting and next_at <= time.monotonic():
            number = waiting.popleft()
            endings[number] = ending = threading.Thread(target=number.close, args=[began + seconds], daemon=True)
            ending.start()
            next_at += gap
        for number in [one for one, ending in endings.items() if not ending.is_alive()]:
            del endings[number]
            release(number)
        _try(renew)
        time.sleep(0.02)
    log.info(
        "ended", numbers=len(held), unfinished=len(waiting) + len(endings), seconds=round(time.monotonic() - began, 2)
    )


def _gap(worker: Worker, count: int, seconds: float) -> float:
    """Seconds from the closing of one number to that of the next."""
    others = _try(Worker.objects.taking().filter(network=worker.network).exclude(pk=worker.pk).count)
    if not others:
        return 0.0
    return min(1 / (settings.SESSION_CONNECTS_PER_SECOND * others), seconds * _BEGUN_WITHIN / max(1, count))


def _try(act: Callable[[], T]) -> T | None:
    """Without the database the numbers must be closed all the same."""
    try:
        return act()
    except DatabaseError as error:
        log.warning("database_away", error=str(error).splitlines()[0])
        connection.close()
    return None
