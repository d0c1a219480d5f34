"""Spreads the connections that a worker starts, so that a hundred numbers do not log in at one moment."""

from __future__ import annotations

import random
import threading
import time

from django.conf import settings


class Starts:
    """Slots for starts, SESSION_CONNECTS_PER_SECOND of them on average, at uneven distances."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self, stopping: threading.Event) -> bool:
        """Wait for the next free slot; False when `stopping` was set meanwhile."""
        with self._lock:
            slot = max(self._next, time.monotonic())
            distance = random.uniform(0.5, 1.5)  # noqa: S311 (jitter is no secret)
            self._next = slot + distance / settings.SESSION_CONNECTS_PER_SECOND
        return not stopping.wait(max(0.0, slot - time.monotonic()))


STARTS = Starts()
