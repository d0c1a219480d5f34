"""Keeps the chats in step with the ledger, in the transaction of the session worker's writer.

The instances of the rows are locked by the writer, so nobody else writes their chats meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.utils import timezone

from config.ids import new_id
from instances.whatsapp.jids import BROADCAST, GROUP, LID, NEWSLETTER, PHONE
from messaging.models import Chat, Contact, Message
from messaging.states import UNCOUNTED, Direction

_KINDS = {GROUP: Chat.Kind.GROUP, NEWSLETTER: Chat.Kind.NEWSLETTER, BROADCAST: Chat.Kind.STATUS}
_COLUMNS = (
    "id", "organization", "instance", "kind", "jid", "lid", "name", "last_message_id", "last_at", "unread",
    "created_at",
)  # fmt: skip
_UPSERT = """
INSERT INTO messaging_chat ({columns}) VALUES {rows}
ON CONFLICT (instance_id, jid) DO UPDATE SET
  lid = COALESCE(excluded.lid, messaging_chat.lid),
  name = CASE WHEN excluded.name <> '' THEN excluded.name ELSE messaging_chat.name END,
  last_message_id = CASE WHEN excluded.last_at >= messaging_chat.last_at
    THEN excluded.last_message_id ELSE messaging_chat.last_message_id END,
  last_at = CASE WHEN excluded.last_at >= messaging_chat.last_at THEN excluded.last_at ELSE messaging_chat.last_at END,
  unread = messaging_chat.unread + excluded.unread
"""


@dataclass(slots=True)
class _Touch:
    """What the rows of one chat do to it."""

    organization_id: str
    lid: str | None = None
    name: str = ""
    last_message_id: str | None = None
    last_at: datetime | None = None
    unread: int = 0

    def add(self, row: Message) -> None:
        inbound, at = row.direction == Direction.INBOUND, row.sent_at or row.created_at
        self.lid = row.chat_lid or self.lid
        if inbound and row.chat.endswith((PHONE, LID)):
            self.name = row.sender_name or self.name
        if self.last_at is None or at >= self.last_at:
            self.last_message_id, self.last_at = row.id, at
        if inbound and not row.history and row.type not in UNCOUNTED:
            self.unread += 1


def touched(rows: Iterable[Message]) -> None:
    """Bring the chats of messages up to date: their last message, names and unread counts, in one statement.

    To be called once for each message when it was received or sent, with the rows in their order, after they were
    written and in the same transaction. A message that was addressed by LID moves to the chat of the phone number
    where that is known; `chat` of its row is changed then.
    """
    rows = list(rows)
    if not rows:
        return
    _address_by_phone([row for row in rows if row.chat.endswith(LID)])
    _fold(row for row in rows if row.chat_lid and row.chat.endswith(PHONE))
    touches: dict[tuple[str, str], _Touch] = {}
    for row in rows:
        touches.setdefault((row.instance_id, row.chat), _Touch(row.organization_id)).add(row)
    _upsert(touches)


def _upsert(touches: dict[tuple[str, str], _Touch]) -> None:
    fields = [Chat._meta.get_field(name) for name in _COLUMNS]
    now, parameters = timezone.now(), []
    for instance_id, jid in sorted(touches):
        touch = touches[instance_id, jid]
        kind = _KINDS.get(jid.partition("@")[2], Chat.Kind.PERSON).value
        row = (
            new_id("cht"), touch.organization_id, instance_id, kind, jid, touch.lid, touch.name,
            touch.last_message_id, touch.last_at, touch.unread, now,
        )  # fmt: skip
        for field, value in zip(fields, row, strict=True):
            parameters.append(field.get_db_prep_value(value, connection))  # type: ignore[union-attr]
    columns = ", ".join(str(field.column) for field in fields)  # type: ignore[union-attr]
    place = f"({', '.join(['%s'] * len(fields))})"
    with connection.cursor() as cursor:
        cursor.execute(_UPSERT.format(columns=columns, rows=", ".join([place] * len(touches))), parameters)


def _address_by_phone(rows: Collection[Message]) -> None:
    if not rows:
        return
    lids, instances = {row.chat for row in rows}, {row.instance_id for row in rows}
    pairs = {
        (instance_id, lid): f"{phone}@{PHONE}"
        for instance_id, lid, phone in Contact.objects.filter(
            instance_id__in=instances, lid__in=lids, phone__isnull=False
        ).values_list("instance_id", "lid", "phone")
    }
    for (instance_id, lid), jid in pairs.items():
        mine = [row for row in rows if (row.instance_id, row.chat) == (instance_id, lid)]
        Message.objects.filter(pk__in=[row.pk for row in mine]).update(chat=jid, chat_lid=lid)
        for row in mine:
            row.chat, row.chat_lid = jid, lid


def _fold(rows: Iterator[Message]) -> None:
    """Merge the chats that were begun under the LIDs of people whose phone numbers are known now."""
    jids = {(row.instance_id, row.chat_lid): row.chat for row in rows}
    if not jids:
        return
    instances, lids = {instance_id for instance_id, _ in jids}, {lid for _, lid in jids}
    begun = Chat.objects.filter(instance_id__in=instances, jid__in=lids).values_list("instance_id", "jid")
    for instance_id, lid in list(begun):
        if jid := jids.get((instance_id, lid)):
            merge(instance_id, lid, jid)


def _read_in_both(*chats: Chat) -> str | None:
    """Up to where all of several chats were read; one without unread messages keeps no other back."""
    marks = [chat.read_to for chat in chats if chat.unread] or [max(chat.read_to or "" for chat in chats)]
    return min(mark or "" for mark in marks) or None


def merge(instance_id: str, lid: str, jid: str) -> None:
    """Make the chat under a person's LID and the one under the phone's JID one. Idempotent.

    In a transaction that has locked the instance. All messages of the chat are rewritten, once for each person.
    """
    old = Chat.objects.filter(instance_id=instance_id, jid=lid).first()
    if old is None:
        return
    Message.objects.filter(instance_id=instance_id, chat=lid).update(chat=jid, chat_lid=lid)
    new = Chat.objects.filter(instance_id=instance_id, jid=jid).first()
    if new is None:
        Chat.objects.filter(pk=old.pk).update(jid=jid, lid=lid)
        return
    columns: dict[str, Any] = {"lid": lid, "unread": new.unread + old.unread, "name": new.name or old.name}
    columns["read_to"] = _read_in_both(new, old)
    if old.last_at > new.last_at:
        columns |= {"last_message_id": old.last_message_id, "last_at": old.last_at}
    Chat.objects.filter(pk=new.pk).update(**columns)
    old.delete()
