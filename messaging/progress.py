"""How messages move from status to status, and the receipts that move them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import OperationalError

from config import bulk
from instances.models import Instance
from instances.services import draft
from messaging.models import EarlyReceipt, Message
from messaging.selectors import message_data
from messaging.states import Status, below
from webhooks.events import Draft

_ADVANCED = ("status", "sent_at", "delivered_at", "read_at", "played_at")


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


class Progress:
    """Receipts applied to messages in memory, and written by `save` in one statement.

    For messages read in the same transaction, after the lock of their instance.
    """

    def __init__(self) -> None:
        self._before: dict[str, str] = {}
        self._moved: dict[str, Message] = {}

    def advance(self, message: Message, kind: str, at: datetime, instance: Instance) -> list[Draft]:
        """Apply one: ``sent``, ``delivered``, ``read`` or ``played``. Nothing when the message is further already."""
        if message.status not in below(kind):
            return []
        self._before.setdefault(message.pk, message.status)
        self._moved[message.pk] = message
        message.status = kind
        message.sent_at = message.sent_at or at  # it was unconfirmed; the receipt proves that it arrived
        if kind != Status.SENT:
            message.delivered_at = message.delivered_at or at
        if kind in (Status.READ, Status.PLAYED):
            message.read_at = message.read_at or at
        if kind == Status.PLAYED:
            message.played_at = message.played_at or at
        return [report(message, instance)]

    def save(self) -> None:
        """Raises OperationalError, on which the writer tries again, when a message moved meanwhile."""
        rows = [
            (row.pk, *(getattr(row, name) for name in _ADVANCED), self._before[pk]) for pk, row in self._moved.items()
        ]
        if bulk.update(Message, _ADVANCED, rows, guard="status") != len(rows):
            raise OperationalError("a message moved meanwhile")
        self._before.clear()
        self._moved.clear()


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
