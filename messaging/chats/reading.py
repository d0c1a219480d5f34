"""Read marks: what a chat's reader has seen, told to WhatsApp by live command and kept by the writer."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from config.api.problems import Problem
from instances import commands
from instances.holding.writer import Item, Written
from instances.models import Instance
from instances.whatsapp.jids import PHONE
from messaging.models import Chat, Message
from messaging.states import CHANGES, UNCOUNTED, Direction

MOST = 1000  # unread messages that one mark tells WhatsApp of: the newest


@dataclass(frozen=True, slots=True)
class ReadUpTo:
    """Everything received in a chat up to a message was read, by the API's users or on the phone."""

    jid: str
    message_id: str
    at: datetime


def read_up_to(items: list[Item], held: dict[str, Instance]) -> Written:
    """Writes read marks; an older mark than the last one changes nothing."""
    for item in items:
        value: ReadUpTo = item.value
        chat = Chat.objects.filter(instance_id=item.instance_id, jid=value.jid).first()
        if chat is None or (chat.read_to or "") >= value.message_id:
            continue
        ids = list(_unread(chat).filter(pk__lte=value.message_id).values_list("pk", flat=True)[:MOST])
        Message.objects.filter(pk__in=ids).update(read_at=value.at)
        later = _received(chat).filter(pk__gt=value.message_id, read_at=None)
        left = later.exclude(type__in=UNCOUNTED).count()
        Chat.objects.filter(pk=chat.pk).update(read_to=value.message_id, unread=left)
    return Written([None] * len(items), [])


def _received(chat: Chat) -> QuerySet[Message]:
    return Message.objects.filter(
        instance_id=chat.instance_id, chat=chat.jid, direction=Direction.INBOUND, history=False
    ).exclude(type__in=CHANGES)


def _unread(chat: Chat) -> QuerySet[Message]:
    rows = _received(chat).filter(read_at=None)  # in a chat that was two, some after the mark are read already
    return (rows.filter(pk__gt=chat.read_to) if chat.read_to else rows).order_by("-pk")


def mark(chat: Chat, up_to: str) -> None:
    """Mark a chat as read up to a message: its senders are told, and the phone. Idempotent; nothing unread, no call.

    Raises Problem like ``instances.commands.call``.
    """
    found = _unread(chat).filter(pk__lte=up_to).only("wa_id", "sender_lid", "sender_phone", "chat")
    rows = [row for row in found[:MOST] if row.wa_id]
    if not rows or chat.unread == 0:
        return
    senders: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        phone = f"{row.sender_phone}@{PHONE}" if row.sender_phone else None
        senders[row.sender_lid or phone or row.chat].append(str(row.wa_id))  # a channel writes its posts itself
    arguments = {"jid": chat.jid, "lid": chat.lid, "senders": senders, "up_to": up_to}
    commands.call(chat.instance, "read", arguments)


def mark_message(message: Message) -> None:
    """Mark a received message and all before it in its chat as read. Idempotent.

    Raises Problem ``not_received``, and like ``instances.commands.call``.
    """
    if message.direction != Direction.INBOUND:
        raise Problem("not_received")
    chat = Chat.objects.filter(instance=message.instance, jid=message.chat).select_related("instance").first()
    if chat is not None:
        mark(chat, message.id)


def mark_chat(chat: Chat) -> None:
    """Mark everything in a chat as read. Idempotent. Raises Problem like ``instances.commands.call``."""
    if newest := _unread(chat).values_list("pk", flat=True).first():
        mark(chat, newest)
    else:  # what was unread is gone by its age; what comes at this moment counts anew
        Chat.objects.filter(pk=chat.pk, unread=chat.unread).update(unread=0)
