"""Writes what the lanes and the numbers report. Each function is a handler of the session worker's writer:
it runs inside the writer's transaction, with the instances locked and the lease checked.
"""

from __future__ import annotations

from collections import defaultdict
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
from instances.services import draft
from instances.whatsapp.failures import OFFLINE
from instances.whatsapp.news import Inbound, Receipt
from messaging.models import EarlyReceipt, Message
from messaging.selectors import message_data
from messaging.states import Direction, Origin, Status, below
from subscriptions import quota, usage
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


def _report(message: Message, instance: Instance) -> Draft:
    return draft(instance, f"message.{message.status}", message_data(message, instance))


def _move(message: Message, status: str, **columns: Any) -> bool:
    """Compare-and-swap; False when the message is further already."""
    moved = Message.objects.filter(pk=message.pk, status__in=below(status)).update(status=status, **columns)
    if moved:
        for name, value in {"status": status, **columns}.items():
            setattr(message, name, value)
    return bool(moved)


def _end(message: Message, outcome: Outcome, instance: Instance, early: list[EarlyReceipt]) -> list[Draft]:
    columns: dict[str, Any] = {"error_code": outcome.error_code, "error_detail": outcome.error_detail}
    status = outcome.status
    if status == Status.QUEUED:
        if outcome.error_code == OFFLINE:
            _move(message, status, attempts=message.attempts - 1)
            return []
        if message.attempts < MAX_ATTEMPTS:
            _move(message, status)
            return []
        status = Status.FAILED
    if outcome.wa_id:
        columns["wa_id"] = outcome.wa_id
    if status == Status.SENT:
        columns["sent_at"] = outcome.at
    if not _move(message, status, **columns):
        return []
    transaction.on_commit(partial(_count, message))
    drafts = [_report(message, instance)]
    if outcome.wa_id:
        drafts += [entry for one in early for entry in _progress(message, one.kind, one.at, instance)]
    return drafts


def _count(message: Message) -> None:
    metrics.MESSAGES.inc(message.direction, message.type, message.status)
    if message.status == Status.SENT:
        metrics.SEND_SECONDS.observe((timezone.now() - message.created_at).total_seconds())


def fail_waiting(instance: Instance) -> list[Draft]:
    """End what was accepted for another number: it must not go out from this one."""
    error = {"error_code": "number_changed", "error_detail": "The instance was linked to another number."}
    waiting = Message.objects.filter(instance=instance, status=Status.QUEUED).order_by("id")
    failed = [message for message in waiting if _move(message, Status.FAILED, **error)]
    _give_back([(message, instance) for message in failed])
    return [_report(message, instance) for message in failed]


def _give_back(unsent: Iterable[tuple[Message, Instance]]) -> None:
    """What was not sent does not count against the month."""
    quota.release((instance.organization_id, instance.network, row.created_at) for row, instance in unsent)


def outcomes(items: list[Item], held: dict[str, Instance]) -> Written:
    rows = Message.objects.in_bulk([item.value.message_id for item in items])
    early = _take_early(items)
    drafts: list[Draft] = []
    unsent: list[tuple[Message, Instance]] = []
    for item in items:
        if message := rows.get(item.value.message_id):
            instance = held[item.instance_id]
            ended = _end(message, item.value, instance, early.get((item.instance_id, item.value.wa_id), []))
            drafts += ended
            if ended and message.status == Status.FAILED:
                unsent.append((message, instance))
    _give_back(unsent)
    return Written([None] * len(items), drafts)


def _progress(message: Message, kind: str, at: datetime, instance: Instance) -> list[Draft]:
    columns: dict[str, Any] = {}
    if message.delivered_at is None:
        columns["delivered_at"] = at
    if kind in (Status.READ, Status.PLAYED) and message.read_at is None:
        columns["read_at"] = at
    if message.sent_at is None:
        columns["sent_at"] = at  # it was unconfirmed; the receipt proves that it arrived
    return [_report(message, instance)] if _move(message, kind, **columns) else []


def _take_early(items: list[Item]) -> dict[tuple[str, str | None], list[EarlyReceipt]]:
    """The receipts that came before the ids they are for; they are removed."""
    wa_ids = [item.value.wa_id for item in items if item.value.wa_id]
    mine = {item.instance_id for item in items}
    found: dict[tuple[str, str | None], list[EarlyReceipt]] = defaultdict(list)
    if not wa_ids:
        return found
    rows = list(EarlyReceipt.objects.filter(instance_id__in=mine, wa_id__in=wa_ids).order_by("pk"))
    for row in rows:
        found[row.instance_id, row.wa_id].append(row)
    if rows:
        EarlyReceipt.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return found


def _known(items: Iterable[Item]) -> dict[tuple[str, str], Message]:
    wanted: dict[str, set[str]] = defaultdict(set)
    for item in items:
        wanted[item.instance_id].update(item.value.wa_ids)
    found: dict[tuple[str, str], Message] = {}
    for instance_id, wa_ids in wanted.items():
        rows = Message.objects.filter(instance_id=instance_id, wa_id__in=wa_ids, direction=Direction.OUTBOUND)
        found |= {(instance_id, row.wa_id or ""): row for row in rows}
    return found


def receipts(items: list[Item], held: dict[str, Instance]) -> Written:
    known, drafts, early = _known(items), [], []
    for item in items:
        receipt: Receipt = item.value
        for wa_id in receipt.wa_ids:
            if message := known.get((item.instance_id, wa_id)):
                drafts += _progress(message, receipt.kind, receipt.at, held[item.instance_id])
            else:
                early.append(EarlyReceipt(instance_id=item.instance_id, wa_id=wa_id, kind=receipt.kind, at=receipt.at))
    EarlyReceipt.objects.bulk_create(early)
    return Written([None] * len(items), drafts)


def _storable(value: Any) -> Any:
    """The value without null characters, which anybody can send and PostgreSQL does not store."""
    if isinstance(value, dict):
        return {name: _storable(inner) for name, inner in value.items()}
    return value.replace("\x00", "\ufffd") if isinstance(value, str) else value


def _row(instance: Instance, news: Inbound) -> Message:
    return Message(
        organization_id=instance.organization_id,
        instance=instance,
        direction=Direction.OUTBOUND if news.from_me else Direction.INBOUND,
        status=Status.SENT if news.from_me else Status.RECEIVED,
        type=news.type,
        content=_storable(news.content),
        chat=news.chat,
        chat_lid=news.chat_lid,
        sender_phone=news.sender.phone,
        sender_lid=news.sender.lid,
        sender_name=_storable(news.sender.name)[:200],
        origin=Origin.PHONE if news.from_me else None,
        wa_id=news.wa_id,
        sent_at=news.sent_at,
    )


def inbound(items: list[Item], held: dict[str, Instance]) -> Written:
    """Each message once: what the ledger has already, by its WhatsApp id, is passed over."""
    seen: set[tuple[str, str | None]] = set()
    for instance_id in {item.instance_id for item in items}:
        wa_ids = [item.value.wa_id for item in items if item.instance_id == instance_id]
        rows = Message.objects.filter(instance_id=instance_id, wa_id__in=wa_ids)
        seen |= {(instance_id, wa_id) for wa_id in rows.values_list("wa_id", flat=True)}
    fresh: list[Message] = []
    for item in items:
        key = item.instance_id, item.value.wa_id
        if key not in seen:
            seen.add(key)
            fresh.append(_row(held[item.instance_id], item.value))
    Message.objects.bulk_create(fresh)
    usage.add(
        (row.organization_id, row.instance.network, row.instance_id, row.type, Direction.INBOUND)
        for row in fresh
        if row.direction == Direction.INBOUND
    )
    for row in fresh:
        transaction.on_commit(partial(metrics.MESSAGES.inc, row.direction, row.type, row.status))
    types = {Status.RECEIVED: "message.received", Status.SENT: "message.sent"}
    drafts = [draft(row.instance, types[Status(row.status)], message_data(row, row.instance)) for row in fresh]
    return Written([None] * len(items), drafts)


HANDLERS: dict[type, Handler] = {
    Claim: claim,
    PutBack: put_back,
    Outcome: outcomes,
    Receipt: receipts,
    Inbound: inbound,
}
