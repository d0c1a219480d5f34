"""One process-wide gate around the client library's registry of clients.

Go keeps its clients in maps without a lock: connects and stops write them, every call reads them, and
a read beside a write ends the process. So connects and stops go one at a time and alone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST_CONNECT_SECONDS = 2.0  # by then a starting client is in the maps, or never will be
_GRACE_SECONDS = 0.005  # calls that were let in before are past their look-up by then


class Gate:
    """Readers `enter` and pass at once; a writer `close`s it for everybody until it `open`s it again."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._owner: object | None = None
        self._until = 0.0

    def _wait(self) -> None:
        while self._owner is not None and (left := self._until - time.monotonic()) > 0:
            self._condition.wait(left)

    def enter(self) -> None:
        """Wait until nobody writes. The look-up of the call that follows takes microseconds."""
        with self._condition:
            self._wait()

    def close(self, owner: object) -> None:
        """Become the only writer; lasts until `open` or LONGEST_CONNECT_SECONDS."""
        with self._condition:
            self._wait()
            self._owner, self._until = owner, time.monotonic() + LONGEST_CONNECT_SECONDS
        time.sleep(_GRACE_SECONDS)

    def open(self, owner: object) -> None:
        """End the exclusive time of `owner`; does nothing if it has ended already."""
        with self._condition:
            if self._owner is owner:
                self._owner = None
                self._condition.notify_all()

    @contextmanager
    def closed(self) -> Iterator[None]:
        token = object()
        self.close(token)
        try:
            yield
        finally:
            self.open(token)


GATE = Gate()
