"""The end of a session worker: all its numbers are closed at once, each is free for others when it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import structlog
from django.db import DatabaseError, connection

from instances.holding import lease
from instances.models import Worker

if TYPE_CHECKING:
    from instances.holding.connection import Connection

log = structlog.get_logger(__name__)


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
    """
    began = time.monotonic()
    _try(lambda: lease.drain(worker))
    held = list(numbers.values())
    endings: dict[Connection, threading.Thread] = {}
    for number in held:
        number.leave()
        if (ending := closing.get(number.instance_id)) is None:
            ending = threading.Thread(target=number.close, args=[began + seconds], daemon=True)
            ending.start()
        endings[number] = ending
    while endings and time.monotonic() < began + seconds:
        for number in [one for one, ending in endings.items() if not ending.is_alive()]:
            del endings[number]
            release(number)
        _try(renew)
        time.sleep(0.02)
    log.info("ended", numbers=len(held), unfinished=len(endings), seconds=round(time.monotonic() - began, 2))


def _try(act: Callable[[], None]) -> None:
    """Without the database the numbers must be closed all the same."""
    try:
        act()
    except DatabaseError as error:
        log.warning("database_away", error=str(error).splitlines()[0])
        connection.close()
