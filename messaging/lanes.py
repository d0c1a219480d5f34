"""The lane of a number: sends its queued messages in order, one at a time, for as long as it is online.

Loaded in session workers only. What may have left when a process died is settled before the number
connects again (docs/decisions/0003-settling-doubt.md).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any

import structlog
from django.conf import settings
from django.db import connection

from instances import wakeup
from instances.holding import attachments, writer
from instances.holding.attachments import Held
from instances.holding.writer import LeaseLost
from instances.whatsapp.failures import Failure, SendFailed, failure_of
from instances.whatsapp.files import NotSendable
from instances.whatsapp.news import Inbound, News
from instances.whatsapp.store import Trace
from messaging.composing import compose
from messaging.delivering import deliver
from messaging.doubt import settle
from messaging.ledger import HANDLERS, Claim, Outcome, PutBack, fail_waiting
from messaging.models import Message
from messaging.receiving import groups
from messaging.receiving import handlers as receiving
from messaging.scheduling import release_due
from messaging.states import Status

log = structlog.get_logger(__name__)
BATCH = 20
_IDLE_SECONDS, _RETRY_SECONDS = 5.0, 0.5
_LONGEST_SETTLE_SECONDS = 0.5  # so that a chat that never pauses cannot starve the lane
_REMEMBERED_CHATS = 1_000


class Lane:
    def __init__(self, held: Held) -> None:
        self._held = held
        self._awake = threading.Event()
        self._stopping = threading.Event()
        self._busy = threading.Lock()  # held from a claim to the end of its sends
        self._heard: dict[str, float] = {}  # chat -> when its last inbound message came (monotonic)
        self._thread: threading.Thread | None = None

    # --- for the connection -----------------------------------------------------------------

    def online(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"lane-{self._held.instance_id}", daemon=True)
            self._thread.start()
        self._awake.set()

    def offline(self) -> None:
        with self._busy:
            self._settle()

    def seen(self, news: News) -> None:
        if isinstance(news, Inbound):
            if len(self._heard) > _REMEMBERED_CHATS:
                self._heard.clear()
            now = time.monotonic()
            self._heard[news.chat] = now
            if news.chat_lid:
                self._heard[news.chat_lid] = now

    def wake(self) -> None:
        self._awake.set()

    def close(self, deadline: float) -> None:
        self._stopping.set()
        self._awake.set()
        if self._thread:
            self._thread.join(max(0.0, deadline - time.monotonic()))

    # --- the lane's own thread --------------------------------------------------------------

    def _run(self) -> None:
        structlog.contextvars.bind_contextvars(instance=self._held.instance_id)
        while not self._stopping.is_set():
            self._awake.wait(_IDLE_SECONDS)
            self._awake.clear()
            try:
                wakeup.answered(self._held.instance_id)
                while self._send_batch():
                    pass
            except LeaseLost:
                return
            except Exception:
                log.exception("lane_failed")
                self._stopping.wait(1.0)
                self._recover()

    def _recover(self) -> None:
        """What was claimed when the lane failed must not wait for the next connect."""
        try:
            with self._busy:
                self._settle()
        except Exception:
            log.exception("lane_not_recovered")
        self._awake.set()

    def _settle(self) -> None:
        try:
            begun = Message.objects.filter(instance_id=self._held.instance_id, status=Status.SENDING)
            rows = list(begun.order_by("id"))
        finally:
            connection.close()
        for outcome in settle(self._held.store, rows):
            self._held.write(outcome).result()

    @property
    def _may_send(self) -> bool:
        return self._held.online and not self._stopping.is_set()

    def _send_batch(self) -> bool:
        """Claim and send the next messages; False when there is nothing left that may be sent now."""
        with self._busy:
            if not self._may_send:
                return False
            rows: list[Message] = self._held.write(Claim(BATCH)).result()
            written: list[Future[Any]] = []
            done, again = 0, False
            while done < len(rows) and self._may_send and not again:
                outcome = self._send(rows[done])
                written.append(self._held.write(outcome))
                if outcome.status != Status.SENT:
                    written[-1].result()  # `settle` relies on it
                again = outcome.status == Status.QUEUED
                done += 1
            if rest := tuple(row.pk for row in rows[done:]):
                written.append(self._held.write(PutBack(rest)))
            for future in written:
                future.result()
        if again:
            self._stopping.wait(_RETRY_SECONDS)
        return bool(rows)

    def _send(self, row: Message) -> Outcome:
        self._let_settle(row)
        try:
            outbound = compose(row, self._held)
            sent = deliver(self._held, outbound)
        except NotSendable as error:
            return Outcome(row.pk, Status.FAILED, error_code=error.code, error_detail=error.detail)
        except SendFailed as error:
            failure = failure_of(str(error))
            log.info("send_failed", message=row.pk, code=failure.code)
            return self._failed(row, failure)
        except Exception as error:
            log.exception("send_broke", message=row.pk)
            return self._failed(row, failure_of(repr(error)))
        finally:
            connection.close()  # opened by those that name other messages
        # An edit or deletion in a channel bears the id of its target.
        wa_id = None if outbound.target is not None and outbound.target.wa_id == sent.id else sent.id
        return Outcome(row.pk, Status.SENT, wa_id, datetime.fromtimestamp(sent.timestamp, UTC))

    def _failed(self, row: Message, failure: Failure) -> Outcome:
        words: dict[str, Any] = {"error_code": failure.code, "error_detail": failure.detail}
        if failure.outcome in ("failed", "hold"):
            self._held.store.forget_secret(bytes(row.secret))
            return Outcome(row.pk, Status.FAILED, **words)
        if failure.outcome == "retry":
            self._held.store.forget_secret(bytes(row.secret))
            return Outcome(row.pk, Status.QUEUED, **words)
        trace, wa_id = self._held.store.trace(bytes(row.secret))
        if trace is Trace.POSSIBLE:
            return Outcome(row.pk, Status.UNCONFIRMED, wa_id, **words)
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


def find_work(instance_ids: list[str]) -> Iterable[str]:
    """The instances with queued messages, for wake-ups that got lost."""
    queued = Message.objects.filter(instance_id__in=instance_ids, status=Status.QUEUED)
    return queued.order_by().values_list("instance_id", flat=True).distinct()


attachments.attach.append(Lane)
attachments.commands["group"] = groups.look_up
attachments.find_work.append(release_due)
attachments.find_work.append(find_work)
attachments.number_changed.append(fail_waiting)
writer.handlers.update(HANDLERS | receiving.HANDLERS)
writer.first.add(Outcome)  # receipts of the same moment then find the message's id
