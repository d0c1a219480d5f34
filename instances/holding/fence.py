"""Until when a lease certainly lasts, known without asking the database."""

from __future__ import annotations

import time

from django.conf import settings


def clock() -> float:
    """Seconds of a clock that goes on while this process is stopped, and while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Fence:
    """That of one lease. After `holds` has become false nothing may be sent, and the number must leave the network.

    A fifth of the lease is left for that: another worker takes the number only when all of it has passed.
    """

    def __init__(self, asked_at: float) -> None:
        self.renewed(asked_at)

    def renewed(self, asked_at: float) -> None:
        """The lease was given or extended by a statement begun at this time of `clock`."""
        self._until = asked_at + settings.LEASE_SECONDS * 0.8

    @property
    def holds(self) -> bool:
        return clock() < self._until
