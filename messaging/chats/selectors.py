from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import QuerySet

from config.timestamps import iso
from instances.whatsapp.jids import PHONE
from messaging.models import Chat, Message
from messaging.receiving.showing import with_extras

_STEP = 500


def phone_of(chat: Chat) -> str | None:
    user, _, server = chat.jid.partition("@")
    return user if server == PHONE else None


def chat_data(chat: Chat, last: dict[str, Any] | None = None) -> dict[str, Any]:
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
        "last_message": last,
    }


def with_last_messages(chats: Sequence[Chat]) -> list[dict[str, Any]]:
    """All of them as clients see them; a few queries for their messages, however many they are."""
    rows = Message.objects.filter(pk__in=[chat.last_message_id for chat in chats if chat.last_message_id])
    last = {data["id"]: data for data in with_extras(list(rows.select_related("instance")))}
    return [chat_data(chat, last.get(chat.last_message_id)) for chat in chats]


def exported(rows: QuerySet[Message]) -> Iterator[dict[str, Any]]:
    """Messages as clients see them, the oldest first, a few in memory at a time."""
    rows = rows.select_related("instance").order_by("pk")
    step = list(rows[:_STEP])
    while step:
        yield from with_extras(step)
        step = list(rows.filter(pk__gt=step[-1].pk)[:_STEP]) if len(step) == _STEP else []
