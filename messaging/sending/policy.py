"""What a lane may send now, beyond the order of its queue: pacing, existence, cold contacts.

Loaded in session workers, one for each lane, used by the lane's own thread (`seen`, `nudge` and `stop` by any). For
chats it knows, it costs one look into a set; what it knows is lost with the worker and found again in the database.
"""

from __future__ import annotations

import time
from collections import deque
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import structlog
from django.db import connection
from django.utils import timezone

from instances.holding.attachments import Held
from instances.settings import Settings
from instances.whatsapp.failures import COLD, HOLD, Failure, SendFailed, failure_of
from instances.whatsapp.news import Inbound
from messaging.models import Message, SendingState
from messaging.sending import directory, holds
from messaging.sending.directory import Met, is_person
from messaging.sending.holds import EndHold, Hold, NewContact, Probe, Undefer
from messaging.sending.ledger import Outcome, PutBack
from messaging.sending.pacing import Pacer
from messaging.states import Status

log = structlog.get_logger(__name__)
_REMEMBERED = 20_000
_ASK_AGAIN_SECONDS = 60.0
_LOOK_SECONDS = 2.0


class Policy:
    def __init__(self, held: Held) -> None:
        self._held = held
        self._pacer = Pacer(held)
        self._known: set[str] = set()  # chats that need no further look
        self._cold: set[str] = set()  # of those that were looked at: people who never had to do with the number
        self._counted: tuple[date, set[str]] | None = None  # a day, and the new contacts counted on it
        self._state: SendingState | None = None
        self._probe: str | None = None  # the message that finds out whether the hold is over
        self._heard: deque[str] = deque()  # chats that have written while their messages are held
        self._deferring = False  # whether messages wait for another day
        self._woken = False
        self._nudged = False
        self._ask_after = 0.0
        self._looked_at = 0.0

    def nudge(self) -> None:
        self._woken = self._nudged = True
        self._pacer.nudge()

    def stop(self) -> None:
        self._pacer.stop()

    def seen(self, news: Inbound) -> bool:
        """Whoever writes is no cold contact; True when something may be held for them, which `ready` lets go."""
        if news.from_me or news.chat not in self._cold:
            return False
        self._heard.append(news.chat)
        self._pacer.nudge()
        return True

    def forget(self) -> None:
        """The number was offline, and may be another one."""
        self._known.clear()
        self._cold.clear()
        self._state = self._probe = self._counted = None

    # --- before a claim ---------------------------------------------------------------------

    def ready(self) -> int:
        """Wait until something may be sent; returns how many messages may be claimed, 0 when none may for now."""
        self._let_go_of_heard()
        self._look_at_hold()
        before = self._pacer.settings
        if self._deferring and self._woken:
            self._woken = False
            self._pacer.read_settings()
        limit = self._pacer.ready()
        if self._pacer.settings != before:
            self._undefer()
        return limit

    def _undefer(self) -> None:
        """Other settings: what waits for another day may leave on this one."""
        self._deferring = False
        self._held.write(Undefer()).result()

    def _let_go_of_heard(self) -> None:
        chats = []
        while self._heard:
            chats.append(self._heard.popleft())
        if chats:
            self._cold.difference_update(chats)
            self._known.update(chats)
            self._held.write(Probe(tuple(chats))).result()

    def _look_at_hold(self) -> None:
        """When a hold is over, let one held message go; when that is settled, all or the next."""
        state, nudged, self._nudged = self._state, self._nudged, False
        if state is None or (nudged and state.cold_until is not None):  # somebody may have ended its waiting
            state = self._state = holds.state_of(self._held.instance_id)
            self._deferring = state.new_contacts > 0
            connection.close()
        until = state.cold_until
        if until is None or until > timezone.now() or time.monotonic() - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = time.monotonic()
        if self._probe is not None and self._is_under_way(self._probe):
            return
        found = self._held.write(Probe()).result()
        self._probe = found[0] if found else None

    @staticmethod
    def _is_under_way(message_id: str) -> bool:
        try:
            return Message.objects.filter(pk=message_id, status__in=[Status.QUEUED, Status.SENDING]).exists()
        finally:
            connection.close()

    # --- after a claim ----------------------------------------------------------------------

    def admitted(self, rows: list[Message]) -> list[Message]:
        """Those of claimed messages that may be sent now, in order; the others are held, put back or failed."""
        if not rows:
            return rows
        before = self._pacer.settings
        if not self._pacer.learn(rows):
            self._held.write(PutBack(tuple(row.pk for row in rows))).result()
            return []
        if self._pacer.settings != before:
            self._undefer()
        if all(row.chat in self._known for row in rows):
            return rows
        return self._judged(rows)

    def _judged(self, rows: list[Message]) -> list[Message]:
        strangers = {row.chat for row in rows if row.chat not in self._known and is_person(row.chat)}
        self._remember({row.chat for row in rows} - strangers)
        try:
            met = directory.met(self._held.instance_id, strangers)
            self._remember(met)
            self._cold |= strangers - met
            absent = self._absent(strangers)
        finally:
            connection.close()
        passed, held = [], []
        for row in rows:
            if row.chat in absent:
                failure = failure_of("no LID found for it")
                self._end(Outcome(row.pk, Status.FAILED, error_code=failure.code, error_detail=failure.detail))
            elif row.chat not in self._cold:
                passed.append(row)
            elif self._must_hold(row):
                held.append(row.pk)
            elif until := self._deferred_until(row):
                self._end(Outcome(row.pk, Status.QUEUED, not_before=until, attempted=False))
            else:
                passed.append(row)
        if held:
            self._held.write(Hold(tuple(held))).result()
        return passed

    def _end(self, outcome: Outcome) -> None:
        self._held.write(outcome).result()

    def _remember(self, chats: set[str]) -> None:
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        self._known |= chats
        self._cold -= chats

    def _absent(self, chats: set[str]) -> set[str]:
        if not self._settings.check_recipients or not chats or time.monotonic() < self._ask_after:
            return set()
        try:
            return directory.absent(self._held, chats)
        except SendFailed as error:
            # No verdict is no reason to fail a message; sending it asks the same anyway.
            log.info("recipients_not_checked", error=str(error))
            self._ask_after = time.monotonic() + _ASK_AGAIN_SECONDS
            return set()

    def _must_hold(self, row: Message) -> bool:
        state = self._state
        if state is None or state.cold_until is None or row.pk == self._probe:
            return False
        if state.cold_until > timezone.now() or self._probe is not None:
            return True
        self._probe = row.pk
        return False

    def _deferred_until(self, row: Message) -> datetime | None:
        """The begin of the next day, if this one has had as many new contacts as it may."""
        most = self._settings.pacing.new_contacts_per_day
        if most == 0:
            return None
        hours = self._settings.pacing.quiet_hours
        zone = hours.zone if hours else ZoneInfo("UTC")
        now = timezone.now().astimezone(zone)
        if self._counted is None or self._counted[0] != now.date():
            self._counted = now.date(), set()
        counted = self._counted[1]
        if row.chat in counted:
            return None
        if self._used_on(now.date()) >= most:
            self._deferring = True
            return (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        used = self._held.write(NewContact(now.date())).result()
        if self._state is not None:
            self._state.new_contacts_day, self._state.new_contacts = now.date(), used
        counted.add(row.chat)
        return None

    def _used_on(self, day: date) -> int:
        state = self._state
        return state.new_contacts if state is not None and state.new_contacts_day == day else 0

    @property
    def _settings(self) -> Settings:
        return self._pacer.settings

    # --- after a send -----------------------------------------------------------------------

    def judged(self, row: Message, failure: Failure) -> Failure:
        """What a failure means for this message: only who never wrote is held for a refusal of new contacts."""
        if failure.outcome == HOLD and row.chat not in self._cold:
            return failure._replace(outcome="failed")
        return failure

    def recorded(self, row: Message, outcome: Outcome) -> None:
        """A message that was begun has this outcome, which is committed unless it was sent."""
        self._pacer.sent()
        if row.chat not in self._cold and row.pk != self._probe:
            return
        if outcome.status == Status.SENT:
            self._remember({row.chat})
            self._held.write(Met(row.chat))
            if self._state is not None and self._state.cold_until is not None:
                self._end_hold()
        elif outcome.error_code == COLD:
            self._state = holds.state_of(self._held.instance_id)
            connection.close()
        if row.pk == self._probe:
            self._probe = None

    def _end_hold(self) -> None:
        while self._held.write(EndHold()).result():
            pass
        self._state = holds.state_of(self._held.instance_id)
        connection.close()
