"""How messages move from status to status, and the receipts that move them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from instances.models import Instance
from instances.services import draft
from messaging.models import EarlyReceipt, Message
from messaging.selectors import message_data
from messaging.states import Status, below
from webhooks.events import Draft


def report(message: Message, instance: Instance) -> Draft:
    """The event that tells a message's status."""
    return draft(instance, f"message.{message.status}", message_data(message, instance))


def move(message: Message, status: str, **columns: Any) -> bool:
    """Compare-and-swap; False when the message is further already."""
    moved = Message.objects.filter(pk=message.pk, status__in=below(status)).update(status=status, **columns)
    if moved:
        for name, value in {"status": status, **columns}.items():
            setattr(message, name, value)
    return bool(moved)


def progress(message: Message, kind: str, at: datetime, instance: Instance) -> list[Draft]:
    """Apply a receipt; nothing when the message is further already."""
    columns: dict[str, Any] = {}
    if message.delivered_at is None:
        columns["delivered_at"] = at
    if kind in (Status.READ, Status.PLAYED) and message.read_at is None:
        columns["read_at"] = at
    if message.sent_at is None:
        columns["sent_at"] = at  # it was unconfirmed; the receipt proves that it arrived
    return [report(message, instance)] if move(message, kind, **columns) else []


def take_early(wanted: Iterable[tuple[str, str | None]]) -> dict[tuple[str, str | None], list[EarlyReceipt]]:
    """The receipts that came before the messages (instance, WhatsApp's id) they are for; they are removed."""
    ids = {(instance_id, wa_id) for instance_id, wa_id in wanted if wa_id}
    found: dict[tuple[str, str | None], list[EarlyReceipt]] = defaultdict(list)
    if not ids:
        return found
    instance_ids, wa_ids = {instance_id for instance_id, _ in ids}, {wa_id for _, wa_id in ids}
    rows = EarlyReceipt.objects.filter(instance_id__in=instance_ids, wa_id__in=wa_ids).order_by("pk")
    for row in rows:
        if (row.instance_id, row.wa_id) in ids:
            found[row.instance_id, row.wa_id].append(row)
    if found:
        EarlyReceipt.objects.filter(pk__in=[row.pk for rows in found.values() for row in rows]).delete()
    return found
