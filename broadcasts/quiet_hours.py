"""Hours of the wall clock in which a broadcast sends nothing."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple, TypedDict
from zoneinfo import ZoneInfo

_QuietHours = TypedDict("_QuietHours", {"from": str, "to": str, "timezone": str})


class QuietHours(NamedTuple):
    """From ``begin`` until before ``end``, over midnight if that is earlier, in a time zone."""

    begin: time
    end: time
    zone: ZoneInfo

    @classmethod
    def of(cls, stored: _QuietHours) -> QuietHours:
        return cls(time.fromisoformat(stored["from"]), time.fromisoformat(stored["to"]), ZoneInfo(stored["timezone"]))

    def ends_after(self, now: datetime) -> datetime | None:
        """When the quiet hours around this moment end, at the latest; None outside of them.

        The wall clock decides: an end that it skips when it is put forward is over at that moment, and one that it
        shows twice counts the second time.
        """
        local = now.astimezone(self.zone)
        if not self._covers(local.time()):
            return None
        for days in range(3):
            end = datetime.combine(local.date() + timedelta(days=days), self.end, self.zone)
            moment = max(end.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
            if moment > now:
                return moment
        raise AssertionError("an hour that never ends")

    def _covers(self, clock: time) -> bool:
        if self.begin <= self.end:
            return self.begin <= clock < self.end
        return clock >= self.begin or clock < self.end
