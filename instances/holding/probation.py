from __future__ import annotations

import time
from typing import Literal

from instances.holding.suspects import LONGEST_TRIAL_SECONDS, PROBATION_SECONDS

Verdict = Literal["online", "ended"]


class Probation:
    """Whether a held number has been connected without harm to its worker; see ``suspects``.

    One thread begins and reports, another asks for the verdict.
    """

    def __init__(self, crashes: int, linked: bool) -> None:
        self.crashes = crashes
        self._began = time.monotonic() if linked else None  # linking is done by another process
        self._online_since: float | None = None

    def begin(self) -> None:
        """The number is about to be connected, by us or by the library."""
        self._online_since = None
        self._began = time.monotonic()

    def online(self) -> None:
        self._online_since = time.monotonic()

    @property
    def lasts(self) -> bool:
        """Whether the number is on trial now."""
        return self._began is not None

    def verdict(self) -> Verdict | None:
        """How the probation ended, once: ``online`` for long enough, or without harm so far. None while it lasts."""
        now, began, online = time.monotonic(), self._began, self._online_since
        if began is None:
            return None
        if online is not None and now - online >= PROBATION_SECONDS:
            self._began, self.crashes = None, 0
            return "online"
        if online is None and now - began >= LONGEST_TRIAL_SECONDS:
            self._began = None
            return "ended"
        return None
