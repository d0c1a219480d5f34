"""Writes what the lanes report. Each function is a handler of the session worker's writer:
it runs inside the writer's transaction, with the instances locked and the lease checked.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple, cast

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from config import bulk, metrics
from config.ids import TypeIDField
from instances import settings
from instances.holding.writer import Handler, Item, Written
from instances.models import Instance
from instances.whatsapp.failures import OFFLINE
from messaging.chats import touched
from messaging.models import SECRET_BYTES, EarlyChange, EarlyReceipt, Message, SendingState
from messaging.progress import move, report
from messaging.receiving import changes
from messaging.receiving.receipts import came_early
from messaging.sending import holds
from messaging.sending.claiming import TABLE, take
from messaging.sending.failing import fail
from messaging.sending.holds import refuse
from messaging.states import CHANGES, Status, below
from subscriptions import quota
from webhooks.events import Draft

MAX_ATTEMPTS = 10
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 300.0  # between the attempts to send one message
_ID = cast(TypeIDField, Message._meta.pk)
_SENT = f"""
WITH outcome (id, wa_id, sent_at) AS ({{}})
UPDATE {TABLE} SET
  status = 'sent', wa_id = outcome.wa_id, sent_at = outcome.sent_at, error_code = NULL, error_detail = NULL
FROM outcome WHERE {TABLE}.id = outcome.id AND status IN ('sending', 'unconfirmed')
RETURNING {TABLE}.id, {TABLE}.chat, {TABLE}.chat_lid,
  EXISTS (SELECT 1 FROM {EarlyReceipt._meta.db_table} AS e
    WHERE e.instance_id = {TABLE}.instance_id AND e.wa_id = {TABLE}.wa_id)
  OR EXISTS (SELECT 1 FROM {EarlyChange._meta.db_table} AS e
    WHERE e.instance_id = {TABLE}.instance_id AND e.wa_id = {TABLE}.wa_id) AS waited_for
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Claim:
    """Take up to ``limit`` queued messages that are due for sending; the result is Claimed."""

    limit: int


class Claimed(NamedTuple):
    """Messages to send, oldest first; ``more`` says that there may be further ones."""

    messages: list[Message]
    more: bool


@dataclass(frozen=True, slots=True)
class PutBack:
    """Claimed messages whose sending was not begun."""

    message_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the sending of a message ended.

    ``status`` is ``sent``, ``failed``, ``unconfirmed``, ``held`` for a refusal of new contacts, or ``queued`` for
    another attempt: at ``not_before``, or after a pause that grows with the attempts. If it was not ``attempted``,
    this one does not count. With the claimed ``row`` of a message that was sent it need not be read again.
    """

    message_id: str
    status: str
    wa_id: str | None = None
    at: datetime | None = None
    error_code: str | None = None
    error_detail: str | None = None
    not_before: datetime | None = None
    attempted: bool = True
    row: Message | None = None


def claim(items: list[Item], held: dict[str, Instance]) -> Written:
    results: list[Any] = []
    for item in items:
        rows = take(item.instance_id, item.value.limit)
        for row in rows:
            row.instance = held[item.instance_id]  # with its settings of now
        results.append(Claimed(rows, len(rows) == item.value.limit))
    return Written(results, [])


def put_back(items: list[Item], held: dict[str, Instance]) -> Written:
    for item in items:
        mine = Message.objects.filter(pk__in=item.value.message_ids, status=Status.SENDING)
        mine.update(status=Status.QUEUED, attempts=F("attempts") - 1)
    return Written([None] * len(items), [])


def _end(message: Message, outcome: Outcome, instance: Instance) -> list[Draft]:
    status = outcome.status
    if status == Status.QUEUED:
        if outcome.error_code == OFFLINE or not outcome.attempted:
            move(message, status, attempts=message.attempts - 1, not_before=outcome.not_before)
            return []
        if message.attempts < MAX_ATTEMPTS:
            move(message, status, not_before=_next_attempt(message))
            return []
        status = Status.FAILED
    if status == Status.UNCONFIRMED and message.attempts < MAX_ATTEMPTS and settings.of(instance).resend_unconfirmed:
        # With a secret of its own the store tells this attempt from the one that may have arrived.
        move(message, Status.QUEUED, not_before=_next_attempt(message), secret=secrets.token_bytes(SECRET_BYTES))
        return []
    columns: dict[str, Any] = {"error_code": outcome.error_code, "error_detail": outcome.error_detail}
    if outcome.wa_id:
        columns["wa_id"] = outcome.wa_id
    if not move(message, status, **columns):
        return []
    transaction.on_commit(partial(_count, message))
    return [report(message, instance)]


def _next_attempt(message: Message) -> datetime:
    seconds = min(_FIRST_PAUSE_SECONDS * 4 ** (message.attempts - 1), _LONGEST_PAUSE_SECONDS)
    return timezone.now() + timedelta(seconds=seconds)


def _count(message: Message) -> None:
    metrics.MESSAGES.inc(message.direction, message.type, message.status)


def _count_sent(rows: list[Message]) -> None:
    # Not by their status: a receipt that came early has moved some of them on already.
    for (direction, type_), number in Counter((row.direction, row.type) for row in rows).items():
        metrics.MESSAGES.inc(direction, type_, Status.SENT, by=number)
    now = timezone.now()
    for row in rows:
        metrics.SEND_SECONDS.observe((now - row.created_at).total_seconds())


def fail_waiting(instance: Instance) -> list[Draft]:
    """End what was accepted for another number: it must not go out from this one."""
    waiting = Message.objects.filter(instance=instance, status__in=below(Status.CANCELLED)).order_by("id")
    SendingState.objects.filter(instance=instance).delete()  # it was the other number's
    failed = fail(waiting, instance, "number_changed", "The instance was linked to another number.")
    return [report(message, instance) for message in failed]


def _give_back(unsent: Iterable[tuple[Message, Instance]]) -> None:
    """What was not sent does not count against the month."""
    quota.release((instance.organization_id, instance.network, row.created_at) for row, instance in unsent)


def outcomes(items: list[Item], held: dict[str, Instance]) -> Written:
    """What was sent goes in one statement; within an instance nothing is sent before another end is committed."""
    sent = [item for item in items if item.value.status == Status.SENT]
    others = [item for item in items if item.value.status != Status.SENT]
    drafts = _sent(sent, held) if sent else []
    return Written([None] * len(items), drafts + (_ended(others, held) if others else []))


def _sent(items: list[Item], held: dict[str, Instance]) -> list[Draft]:
    outcomes: dict[str, Outcome] = {item.value.message_id: item.value for item in items}
    values, parameters = bulk.values(
        Message, ("id", "wa_id", "sent_at"), [(o.message_id, o.wa_id, o.at) for o in outcomes.values()]
    )
    with connection.cursor() as cursor:
        cursor.execute(_SENT.format(values), parameters)
        moved = {str(_ID.from_db_value(row[0], None, connection)): row[1:] for row in cursor.fetchall()}
    unread = [pk for pk in moved if outcomes[pk].row is None]
    read = Message.objects.in_bulk(unread) if unread else {}
    told, waited_for = [], []
    for item in items:
        outcome: Outcome = item.value
        if outcome.message_id not in moved:
            continue
        row = outcome.row or read[outcome.message_id]
        row.chat, row.chat_lid, waits = moved[row.id]  # another process may have learned whose chat it is
        row.status, row.wa_id, row.sent_at = Status.SENT, outcome.wa_id, outcome.at
        row.error_code = row.error_detail = None
        told.append((row, held[row.instance_id]))
        if waits:
            waited_for.append(told[-1])
    transaction.on_commit(partial(_count_sent, [row for row, _ in told]))
    return [report(*one) for one in told] + _gone_out(told, waited_for)


def _gone_out(rows: list[tuple[Message, Instance]], waited_for: list[tuple[Message, Instance]]) -> list[Draft]:
    """What becomes of messages that have left: chats, and what came before the ids of some, or is about others."""
    touched([row for row, _ in rows if row.type not in CHANGES])
    drafts = came_early(waited_for) + changes.arrived(waited_for)
    return drafts + changes.applied(one for one in rows if one[0].wa_id and one[0].status != Status.UNCONFIRMED)


def _ended(items: list[Item], held: dict[str, Instance]) -> list[Draft]:
    rows = Message.objects.in_bulk([item.value.message_id for item in items])
    drafts: list[Draft] = []
    unsent: list[tuple[Message, Instance]] = []
    said: list[tuple[Message, Instance]] = []
    for item in items:
        if message := rows.get(item.value.message_id):
            instance = held[item.instance_id]
            if item.value.status == Status.HELD:
                drafts += refuse(message, instance)
                continue
            ended = _end(message, item.value, instance)
            drafts += ended
            if ended and message.status == Status.FAILED:
                unsent.append((message, instance))
            elif ended:
                said.append((message, instance))
    _give_back(unsent)
    return drafts + _gone_out(said, [one for one in said if one[0].wa_id])


HANDLERS: dict[type, Handler] = {
    Claim: claim,
    PutBack: put_back,
    Outcome: outcomes,
    **holds.HANDLERS,
}
