"""How much of one kind of work a process does at a time, and how much of it for one organization."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Places:
    """An organization gets at most half of the places, so that one with slow servers leaves some to the others."""

    def __init__(self, most: int) -> None:
        self._free, self._share = threading.BoundedSemaphore(most), max(1, most // 2)
        self._busy: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def taken(self) -> Iterator[bool]:
        """A place while it lasts; False if there was none."""
        mine = self._free.acquire(blocking=False)
        try:
            yield mine
        finally:
            if mine:
                self._free.release()

    def full(self) -> list[str]:
        """The organizations with as much as they get."""
        with self._lock:
            return [organization_id for organization_id, busy in self._busy.items() if busy >= self._share]

    def enter(self, organization_id: str) -> bool:
        """Count work for an organization, to be followed by `leave`; False if it has as much as it gets."""
        with self._lock:
            if self._busy[organization_id] >= self._share:
                return False
            self._busy[organization_id] += 1
            return True

    def leave(self, organization_id: str) -> None:
        with self._lock:
            self._busy[organization_id] -= 1
            if not self._busy[organization_id]:
                del self._busy[organization_id]
