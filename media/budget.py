"""How many bytes of files one process holds in memory: the client library uploads whole files only."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings


class Budget:
    """Whoever finds no room waits, in the order of coming; a file larger than all of it goes alone."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._held = 0
        self._line: list[object] = []

    @property
    def held(self) -> int:
        return self._held

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        me = object()
        with self._condition:
            self._line.append(me)
            self._condition.wait_for(lambda: self._line[0] is me and self._has_room(size))
            self._line.pop(0)
            self._held += size
            self._condition.notify_all()
        try:
            yield
        finally:
            with self._condition:
                self._held -= size
                self._condition.notify_all()

    def _has_room(self, size: int) -> bool:
        return self._held == 0 or self._held + size <= settings.MEDIA_HELD_BYTES


BUDGET = Budget()
held_bytes = BUDGET.hold
