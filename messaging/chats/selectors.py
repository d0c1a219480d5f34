from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import QuerySet

from config.timestamps import iso
from instances.whatsapp.jids import PHONE
from messaging.models import Chat, Message
from messaging.selectors import message_data

_STEP = 500


def phone_of(chat: Chat) -> str | None:
    user, _, server = chat.jid.partition("@")
    return user if server == PHONE else None


def chat_data(chat: Chat, last: Message | None) -> dict[str, Any]:
    """The chat as clients see it, with its last message."""
    return {
        "id": chat.id,
        "instance": chat.instance_id,
        "kind": chat.kind,
        "jid": chat.jid,
        "phone": phone_of(chat),
        "lid": chat.lid,
        "name": chat.name or None,
        "unread": chat.unread,
        "last_at": iso(chat.last_at),
        "last_message": message_data(last, chat.instance) if last is not None else None,
    }


def with_last_messages(chats: Sequence[Chat]) -> list[dict[str, Any]]:
    """All of them as clients see them; one query for their messages."""
    last = Message.objects.in_bulk([chat.last_message_id for chat in chats if chat.last_message_id])
    return [chat_data(chat, last.get(chat.last_message_id or "")) for chat in chats]


def in_steps(rows: QuerySet[Message]) -> Iterator[Message]:
    """The oldest first, a few in memory at a time."""
    step = list(rows.order_by("pk")[:_STEP])
    while step:
        yield from step
        step = list(rows.filter(pk__gt=step[-1].pk).order_by("pk")[:_STEP]) if len(step) == _STEP else []
