"""The lane of a number: sends its queued messages in order, one at a time, for as long as it is online.

While the engine has one message, the next is composed, so that it can follow at once, and the last is recorded.
Loaded in session workers only. What may have left when a process died is settled before the number
connects again (docs/decisions/0003-settling-doubt.md).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, wait
from datetime import UTC, datetime
from typing import Any, NamedTuple

import structlog
from django.conf import settings
from django.db import connection
from django.db.models import Q
from django.utils import timezone

from instances import wakeup
from instances.holding import attachments, writer
from instances.holding.attachments import Held
from instances.holding.writer import CommitUnknown, LeaseLost
from instances.whatsapp.building import Outbound
from instances.whatsapp.failures import FAILED, HOLD, RETRY, Failure, SendFailed, failure_of
from instances.whatsapp.files import NotSendable
from instances.whatsapp.news import Inbound, News, Sent
from instances.whatsapp.store import Trace
from messaging.accepting.scheduling import release_due
from messaging.models import Message
from messaging.receiving import groups
from messaging.receiving import handlers as receiving
from messaging.sending import directory
from messaging.sending.composing import compose, names_others
from messaging.sending.delivering import deliver
from messaging.sending.doubt import settle
from messaging.sending.ledger import HANDLERS, Claim, Claimed, Outcome, PutBack, fail_waiting
from messaging.sending.pacing import MANY
from messaging.sending.policy import Policy
from messaging.sending.sender import AT_ONCE, Sender
from messaging.states import Status

log = structlog.get_logger(__name__)
# What is claimed is no longer the user's to cancel, so it is as much as can be sent in a moment.
_AHEAD_SECONDS, _LEAST_AHEAD, _MOST_AHEAD = 1.0, 2, 200
_IDLE_SECONDS, _RETRY_SECONDS = 5.0, 0.5
_LONGEST_SETTLE_SECONDS = 0.5  # so that a chat that never pauses cannot starve the lane
_REMEMBERED_CHATS = 1_000


class _Begun(NamedTuple):
    """A message for which the sender has been asked, or which could not be composed (no ``outbound``)."""

    row: Message
    outbound: Outbound | None
    sent: Future[Sent]
    at: float


class Lane:
    def __init__(self, held: Held) -> None:
        self._held = held
        self._awake = threading.Event()
        self._stopping = threading.Event()
        self._busy = threading.Lock()  # held from the first claim until nothing is claimed and not begun
        self._policy = Policy(held)
        self._sender = Sender(held.instance_id, self._deliver)
        self._begun: deque[_Begun] = deque()  # in the order of sending; if one failed, it is the last
        self._ended_at = 0.0  # when the last of them had ended (monotonic)
        self._heard: dict[str, float] = {}  # chat -> when its last inbound message came (monotonic)
        self._rows: deque[Message] = deque()  # claimed, in the order of sending
        self._claim: Future[Claimed] | None = None  # the claim of the next ones, under way
        self._limit = MANY  # how many may be claimed; fewer than that: how many in all
        self._claimed = False  # whether the present turn has claimed anything
        self._refused = False  # … something that may not leave now
        self._more = False  # whether more may be queued than was claimed
        self._pace = 0.02  # seconds that a send takes, of late
        self._unwritten: deque[Future[Any]] = deque()  # outcomes on their way to the database
        self._thread: threading.Thread | None = None

    # --- for the connection -----------------------------------------------------------------

    def online(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"lane-{self._held.instance_id}", daemon=True)
            self._thread.start()
        self._awake.set()

    def offline(self) -> None:
        with self._busy:
            self._policy.forget()
            self._settle()

    def seen(self, news: News) -> None:
        if isinstance(news, Inbound):
            if len(self._heard) > _REMEMBERED_CHATS:
                self._heard.clear()
            now = time.monotonic()
            self._heard[news.chat] = now
            if news.chat_lid:
                self._heard[news.chat_lid] = now
            if self._policy.seen(news):
                self._awake.set()

    def wake(self) -> None:
        self._awake.set()
        self._policy.nudge()

    def close(self, deadline: float) -> None:
        self._stopping.set()
        self._awake.set()
        self._policy.stop()
        if self._thread:
            self._thread.join(max(0.0, deadline - time.monotonic()))
        self._sender.close()

    # --- the lane's own thread --------------------------------------------------------------

    def _run(self) -> None:
        structlog.contextvars.bind_contextvars(instance=self._held.instance_id)
        while not self._stopping.is_set():
            woken = self._awake.wait(_IDLE_SECONDS)
            try:
                if woken:
                    self._awake.clear()
                    wakeup.answered(self._held.instance_id)
                # Unwoken it looks at the policy's clocks alone: the holder wakes whoever has something queued.
                while (limit := self._policy.ready()) and woken and self._send_queued(limit):
                    pass
            except LeaseLost:
                return
            except CommitUnknown:
                log.warning("claim_unknown")
                self._recover()
            except Exception:
                log.exception("lane_failed")
                self._stopping.wait(1.0)
                self._recover()

    def _recover(self) -> None:
        """What was claimed when the lane failed must not wait for the next connect, nor let later ones pass it."""
        while not self._stopping.is_set():
            try:
                with self._busy:
                    self._settle()
                break
            except LeaseLost:
                return
            except Exception:
                log.exception("lane_not_recovered")
                self._stopping.wait(1.0)
        self._awake.set()

    def _settle(self) -> None:
        """Find out what became of the messages that are neither waiting nor recorded."""
        self._rows.clear()
        wait([*self._unwritten, *filter(None, [self._claim])])
        self._unwritten.clear()
        self._claim = None
        try:
            begun = Message.objects.filter(instance_id=self._held.instance_id, status=Status.SENDING)
            rows = list(begun.order_by("id"))
        finally:
            connection.close()
        for written in [self._held.write(outcome) for outcome in settle(self._held.store, rows)]:
            written.result()

    @property
    def _may_send(self) -> bool:
        return self._held.online and not self._stopping.is_set()

    def _send_queued(self, limit: int) -> bool:
        """Send what is queued until nothing is left that may be sent now; one message if the limit is one.

        True when there may be more for another turn. The lane never waits for the commit of a message that was
        sent: it is recorded, and the next ones are claimed, while others are being sent.
        """
        self._more, self._limit, self._claimed, self._refused = True, limit, False, False
        with self._busy:
            try:
                outcome = self._send_claimed()
            finally:
                self._end_all()
            self._put_back()
        if outcome is not None and outcome.status == Status.QUEUED:
            self._stopping.wait(_RETRY_SECONDS)
            self._awake.set()
        return self._claimed and (limit != MANY or self._more or self._refused or _waits(outcome))

    def _send_claimed(self) -> Outcome | None:
        """The last outcome. What follows a message that waits may be of its chat: all is then claimed anew."""
        outcome: Outcome | None = None
        while not _waits(outcome):
            row = self._next() if self._may_send and len(self._begun) < AT_ONCE else None
            if row is not None and self._may_join(row):
                self._begun.append(self._begin(self._rows.popleft()))
            elif self._begun:
                outcome = self._end(self._begun.popleft())
            else:
                break
        return outcome

    def _may_join(self, row: Message) -> bool:
        """Whether it may be composed before those that were begun have ended."""
        return not self._begun or not (self._begun[-1].outbound is None or names_others(row))

    def _begin(self, row: Message) -> _Begun:
        at = time.monotonic()
        if "album" in row.attributes:
            wait(self._unwritten)  # it bears the id of the album, which was sent a moment ago
        try:
            outbound = compose(row, self._held)
            return _Begun(row, outbound, self._sender.submit(row, outbound), at)
        except Exception as error:
            failed: Future[Sent] = Future()
            failed.set_exception(error)
            return _Begun(row, None, failed, at)
        finally:
            if connection.connection is not None:  # opened by those that name other messages
                connection.close()

    def _deliver(self, row: Message, outbound: Outbound) -> Sent:
        """On the sender's thread."""
        self._let_settle(row)
        return deliver(self._held, outbound)

    def _end(self, begun: _Begun) -> Outcome:
        """Wait for the end of a message and record it; after a failure, take back those that were to follow."""
        outcome = self._outcome(begun)
        now = time.monotonic()
        took, self._ended_at = now - max(begun.at, self._ended_at), now
        self._pace += (min(took, 2 * self._pace) - self._pace) / 4
        if outcome.status != Status.SENT:
            self._rows.extendleft(one.row for one in reversed(self._begun))
        self._record(outcome)
        if outcome.status != Status.SENT:
            self._end_all()
        self._policy.recorded(begun.row, outcome)
        return outcome

    def _end_all(self) -> None:
        """Wait until the engine has none of our messages, and begin no other meanwhile."""
        self._sender.halt()
        wait([one.sent for one in self._begun])
        self._begun.clear()
        self._sender.resume()

    def _next(self) -> Message | None:
        """The next claimed message, which stays; None when there is none. Claims more before they run out."""
        if self._awake.is_set() and self._claim is None and self._limit == MANY:
            self._awake.clear()
            wakeup.answered(self._held.instance_id)
            self._more = True
        ahead = min(self._limit, max(_LEAST_AHEAD, min(_MOST_AHEAD, int(_AHEAD_SECONDS / self._pace))))
        if self._more and self._claim is None and len(self._rows) <= ahead * 2 // 3:
            # In time to wait for the company of outcomes and for the commit of a large group.
            self._claim = self._held.write(Claim(ahead), urgent=len(self._rows) <= ahead // 3)
        if not self._rows:
            claimed = self._take_claimed()
            self._rows.extend(self._policy.admitted(claimed))
            self._refused = self._refused or len(self._rows) < len(claimed)
        return self._rows[0] if self._rows else None

    def _take_claimed(self) -> list[Message]:
        if self._claim is None:
            return []
        claim, self._claim = self._claim, None
        claimed = claim.result()
        self._more = claimed.more and self._limit == MANY
        self._claimed = self._claimed or bool(claimed.messages)
        return claimed.messages

    def _record(self, outcome: Outcome) -> None:
        """Have an outcome written. Only after the commit of a failure may the next message be begun."""
        crowd = outcome.status == Status.SENT and bool(self._rows or self._begun or self._more)
        written = self._held.write(outcome, urgent=not crowd)
        if outcome.status != Status.SENT:
            written.result()  # `settle` relies on it
        self._unwritten.append(written)
        while self._unwritten and self._unwritten[0].done():
            self._unwritten.popleft().result()

    def _put_back(self) -> None:
        """Give back what was claimed and not begun."""
        self._rows.extend(self._take_claimed())
        if rest := tuple(row.pk for row in self._rows):
            self._held.write(PutBack(rest)).result()
            self._rows.clear()

    def _outcome(self, begun: _Begun) -> Outcome:
        row, outbound = begun.row, begun.outbound
        try:
            sent = begun.sent.result()
        except NotSendable as error:
            return Outcome(row.pk, Status.FAILED, error_code=error.code, error_detail=error.detail)
        except SendFailed as error:
            failure = self._policy.judged(row, failure_of(str(error)))
            log.info("send_failed", message=row.pk, code=failure.code)
            return self._failed(row, failure)
        except Exception as error:
            log.exception("send_broke", message=row.pk)
            return self._failed(row, failure_of(repr(error)))
        # An edit or deletion in a channel bears the id of its target.
        target = outbound.target if outbound else None
        wa_id = None if target is not None and target.wa_id == sent.id else sent.id
        return Outcome(row.pk, Status.SENT, wa_id, datetime.fromtimestamp(sent.timestamp, UTC), row=row)

    def _failed(self, row: Message, failure: Failure) -> Outcome:
        words: dict[str, Any] = {"error_code": failure.code, "error_detail": failure.detail}
        if failure.outcome in (FAILED, HOLD):
            self._held.store.forget_secret(bytes(row.secret))
            return Outcome(row.pk, Status.HELD if failure.outcome == HOLD else Status.FAILED, **words)
        if failure.outcome == RETRY:
            self._held.store.forget_secret(bytes(row.secret))
            return Outcome(row.pk, Status.QUEUED, **words)
        trail = self._held.store.trace(bytes(row.secret))
        if trail.trace is Trace.POSSIBLE:
            return Outcome(row.pk, Status.UNCONFIRMED, trail.wa_id, **words)
        self._held.store.forget_secret(bytes(row.secret))
        return Outcome(row.pk, Status.QUEUED, **words)

    def _let_settle(self, row: Message) -> None:
        """Keep a distance to the chat's last inbound message: the client library loses one of two that meet."""
        until = time.monotonic() + _LONGEST_SETTLE_SECONDS
        while (now := time.monotonic()) < until:
            heard = max(self._heard.get(row.chat, 0.0), self._heard.get(row.chat_lid or "", 0.0))
            left = heard + settings.CHAT_SETTLE_SECONDS - now
            if left <= 0:
                return
            self._stopping.wait(min(left, until - now))


def _waits(outcome: Outcome | None) -> bool:
    return outcome is not None and outcome.status in (Status.QUEUED, Status.HELD)


def find_work(instance_ids: list[str]) -> Iterable[str]:
    """The instances with queued messages, for wake-ups that got lost."""
    queued = Message.objects.filter(instance_id__in=instance_ids, status=Status.QUEUED)
    queued = queued.filter(Q(not_before=None) | Q(not_before__lte=timezone.now()))
    return queued.order_by().values_list("instance_id", flat=True).distinct()


attachments.attach.append(Lane)
attachments.commands["group"] = groups.look_up
attachments.find_work.append(release_due)
attachments.find_work.append(find_work)
attachments.number_changed.append(fail_waiting)
writer.handlers.update(HANDLERS | directory.HANDLERS | receiving.HANDLERS)
writer.once.add(Claim)  # nobody would know of the messages that the lost answer named
writer.first.add(Outcome)  # receipts of the same moment then find the message's id
