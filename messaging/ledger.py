"""Writes what the lanes report. Each function is a handler of the session worker's writer:
it runs inside the writer's transaction, with the instances locked and the lease checked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from config import metrics
from instances.holding.writer import Handler, Item, Written
from instances.models import Instance
from instances.whatsapp.failures import OFFLINE
from messaging.chats import touched
from messaging.models import Message
from messaging.progress import move, report
from messaging.receiving import changes
from messaging.receiving.receipts import came_early
from messaging.states import CHANGES, Status, below
from subscriptions import quota
from webhooks.events import Draft

MAX_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class Claim:
    """Take up to ``limit`` queued messages for sending; the result is the list of them, oldest first."""

    limit: int


@dataclass(frozen=True, slots=True)
class PutBack:
    """Claimed messages whose sending was not begun."""

    message_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the sending of a message ended.

    ``status`` is ``sent``, ``failed``, ``unconfirmed``, or ``queued`` for another attempt.
    """

    message_id: str
    status: str
    wa_id: str | None = None
    at: datetime | None = None
    error_code: str | None = None
    error_detail: str | None = None


def claim(items: list[Item], held: dict[str, Instance]) -> Written:
    results: list[Any] = []
    for item in items:
        queued = Message.objects.filter(instance_id=item.instance_id, status=Status.QUEUED).order_by("id")
        rows = list(queued[: item.value.limit])
        ids = [row.pk for row in rows]
        claimed = Message.objects.filter(pk__in=ids, status=Status.QUEUED)
        claimed.update(status=Status.SENDING, attempts=F("attempts") + 1)
        results.append(rows)
    return Written(results, [])


def put_back(items: list[Item], held: dict[str, Instance]) -> Written:
    for item in items:
        mine = Message.objects.filter(pk__in=item.value.message_ids, status=Status.SENDING)
        mine.update(status=Status.QUEUED, attempts=F("attempts") - 1)
    return Written([None] * len(items), [])


def _end(message: Message, outcome: Outcome, instance: Instance) -> list[Draft]:
    columns: dict[str, Any] = {"error_code": outcome.error_code, "error_detail": outcome.error_detail}
    status = outcome.status
    if status == Status.QUEUED:
        if outcome.error_code == OFFLINE:
            move(message, status, attempts=message.attempts - 1)
            return []
        if message.attempts < MAX_ATTEMPTS:
            move(message, status)
            return []
        status = Status.FAILED
    if outcome.wa_id:
        columns["wa_id"] = outcome.wa_id
    if status == Status.SENT:
        columns["sent_at"] = outcome.at
    if not move(message, status, **columns):
        return []
    transaction.on_commit(partial(_count, message))
    return [report(message, instance)]


def _count(message: Message) -> None:
    metrics.MESSAGES.inc(message.direction, message.type, message.status)
    if message.status == Status.SENT:
        metrics.SEND_SECONDS.observe((timezone.now() - message.created_at).total_seconds())


def fail_waiting(instance: Instance) -> list[Draft]:
    """End what was accepted for another number: it must not go out from this one."""
    error = {"error_code": "number_changed", "error_detail": "The instance was linked to another number."}
    waiting = Message.objects.filter(instance=instance, status__in=below(Status.CANCELLED)).order_by("id")
    failed = [message for message in waiting if move(message, Status.FAILED, **error)]
    _give_back([(message, instance) for message in failed])
    return [report(message, instance) for message in failed]


def _give_back(unsent: Iterable[tuple[Message, Instance]]) -> None:
    """What was not sent does not count against the month."""
    quota.release((instance.organization_id, instance.network, row.created_at) for row, instance in unsent)


def outcomes(items: list[Item], held: dict[str, Instance]) -> Written:
    rows = Message.objects.in_bulk([item.value.message_id for item in items])
    drafts: list[Draft] = []
    unsent: list[tuple[Message, Instance]] = []
    said: list[tuple[Message, Instance]] = []
    for item in items:
        if message := rows.get(item.value.message_id):
            instance = held[item.instance_id]
            ended = _end(message, item.value, instance)
            drafts += ended
            if ended and message.status == Status.FAILED:
                unsent.append((message, instance))
            elif ended:
                said.append((message, instance))
    touched([message for message, _ in said if message.type not in CHANGES])
    left = [(message, instance) for message, instance in said if message.wa_id]  # what WhatsApp has an id for now
    _give_back(unsent)
    drafts += came_early(left) + changes.arrived(left)
    drafts += changes.applied((message, instance) for message, instance in left if message.status != Status.UNCONFIRMED)
    return Written([None] * len(items), drafts)


HANDLERS: dict[type, Handler] = {
    Claim: claim,
    PutBack: put_back,
    Outcome: outcomes,
}
