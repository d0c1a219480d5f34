"""How fast a number sends, by the settings of its instance, so that it behaves like a person.

Loaded in session workers. Whatever makes the lane wait here, it waits before it claims: a message that waits can
still be cancelled, and a stop is never delayed. Without pacing nothing of this costs the lane a query.
"""

from __future__ import annotations

import random
import threading
import time
from datetime import datetime, timedelta

import structlog
from django.db import connection
from django.utils import timezone

from instances import settings
from instances.holding.attachments import Held
from instances.models import Instance
from instances.settings import Pacing, QuietHours, Settings
from instances.whatsapp.failures import SendFailed
from instances.whatsapp.jids import parse
from messaging.models import Message
from messaging.sending.claiming import next_of
from messaging.sending.directory import is_person

log = structlog.get_logger(__name__)
_LONGEST_REFRESH_SECONDS = 4.0  # WhatsApp lets a display of typing end after a few seconds more
MANY = 1_000  # no limit


def quiet_until(hours: QuietHours, now: datetime) -> datetime | None:
    """The end of the quiet hours if it is one of them."""
    local = now.astimezone(hours.zone)
    clock = local.strftime("%H:%M")
    over_midnight = hours.start > hours.end
    if not (clock >= hours.start or clock < hours.end if over_midnight else hours.start <= clock < hours.end):
        return None
    end = local.replace(hour=int(hours.end[:2]), minute=int(hours.end[3:]), second=0, microsecond=0)
    return end if end > local else end + timedelta(days=1)


def typing_seconds(row: Message, wanted: settings.Typing) -> float:
    """For how long the recipient is to see the number type before this message."""
    if not is_person(row.chat) and not row.chat.endswith("@g.us"):
        return 0.0
    asked = row.attributes.get("typing", wanted.simulate)
    if asked is True:
        return min(len(row.text or "") / wanted.characters_per_second, wanted.max_seconds) if row.text else 0.0
    return float(asked)


def is_free(wanted: Settings) -> bool:
    """Whether messages may follow one another without any wait."""
    pacing = wanted.pacing
    return not (pacing.min_gap_ms or pacing.jitter_ms or pacing.quiet_hours or wanted.typing.simulate)


class Pacer:
    """The clock of one lane. `ready` and `sent` are for the lane's own thread, `nudge` and `stop` for any."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self._nudged = threading.Event()
        self._stopped = False
        self._settings: Settings | None = None
        self._slow = False  # one message at a time, looked at before it is claimed
        self._next_at = 0.0  # monotonic
        self._typed: str | None = None  # the message the recipient has been shown typing for

    def nudge(self) -> None:
        """The settings may have changed, or a message may have come or gone."""
        self._nudged.set()

    def stop(self) -> None:
        self._stopped = True
        self._nudged.set()

    @property
    def settings(self) -> Settings:
        return self._settings or settings.DEFAULTS[self._held.network]

    def learn(self, rows: list[Message]) -> bool:
        """Take over the settings that came with claimed messages; False if those must be put back and waited for."""
        self._settings = settings.of(rows[0].instance)
        if any(typing_seconds(row, self._settings.typing) > 0 and row.pk != self._typed for row in rows):
            self._slow = True
            return False
        if self._slow or is_free(self._settings):
            return True
        self._slow = True
        return False

    def ready(self) -> int:
        """Wait until something may be sent; returns how many messages may be claimed then, 0 when none may for now."""
        if not self._slow:
            return MANY
        try:
            return self._ready()
        finally:
            connection.close()

    def sent(self) -> None:
        """A message has left."""
        pacing = self.settings.pacing
        if pacing.min_gap_ms or pacing.jitter_ms:
            gap = pacing.min_gap_ms + random.uniform(0, pacing.jitter_ms)  # noqa: S311 (jitter is no secret)
            self._next_at = time.monotonic() + gap / 1000

    def _ready(self) -> int:
        while not self._stopped and self._held.online:
            self._nudged.clear()
            self.read_settings()
            if self._is_quiet(self.settings.pacing):
                return 0
            row = next_of(self._held.instance_id)
            connection.close()
            if is_free(self.settings) and (row is None or not typing_seconds(row, self.settings.typing)):
                self._slow = False
                return MANY
            if row is None:
                return 0
            if self._wait_gap() and self._show_typing(row):
                return 1
        return 0

    def read_settings(self) -> None:
        """Take over the settings of now."""
        instance = Instance.objects.filter(pk=self._held.instance_id).only("network", "settings").first()
        if instance is not None:
            self._settings = settings.of(instance)

    def _is_quiet(self, pacing: Pacing) -> bool:
        return pacing.quiet_hours is not None and quiet_until(pacing.quiet_hours, timezone.now()) is not None

    def _wait_gap(self) -> bool:
        """False when something may have changed meanwhile."""
        left = self._next_at - time.monotonic()
        most = (self.settings.pacing.min_gap_ms + self.settings.pacing.jitter_ms) / 1000
        return min(left, most) <= 0 or not self._nudged.wait(min(left, most))

    def _show_typing(self, row: Message) -> bool:
        """Type for a message, unless it was done; False when something may have changed meanwhile."""
        seconds = typing_seconds(row, self.settings.typing)
        if seconds <= 0 or self._typed == row.pk:
            return True
        state = "recording" if row.content.get("voice") else "composing"
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._present(row, state)
            self._nudged.wait(min(left, _LONGEST_REFRESH_SECONDS))
            if self._nudged.is_set() and not self._still_typing(row):
                self._present(row, "paused")
                return False
        self._typed = row.pk
        return True

    def _still_typing(self, row: Message) -> bool:
        """Whether the message it types for is still the next one, and still to be typed for."""
        self._nudged.clear()
        if self._stopped or not self._held.online:
            return False
        self.read_settings()
        following = next_of(self._held.instance_id)
        connection.close()
        return following is not None and following.pk == row.pk and typing_seconds(row, self.settings.typing) > 0

    def _present(self, row: Message, state: str) -> None:
        try:
            self._held.chat_presence(parse(row.chat), state)
        except SendFailed as error:
            log.info("typing_not_shown", error=str(error))
