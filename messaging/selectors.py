from __future__ import annotations

from typing import Any

from config.timestamps import iso
from instances.models import Instance
from instances.whatsapp.failures import retryable
from instances.whatsapp.jids import LID, PHONE
from messaging.models import Message
from messaging.states import Direction


def person(phone: str | None, lid: str | None, name: str | None = None) -> dict[str, Any]:
    """Somebody, as every payload names them; the id is the phone's JID if it is known."""
    return {"id": f"{phone}@{PHONE}" if phone else lid, "phone": phone, "lid": lid, "name": name or None}


def chat(message: Message) -> dict[str, Any]:
    """The chat of a message, named as people are."""
    user, _, server = message.chat.partition("@")
    if server in (PHONE, LID):
        return person(user if server == PHONE else None, message.chat_lid)
    return {"id": message.chat, "phone": None, "lid": None, "name": None}


def _error(message: Message) -> dict[str, Any] | None:
    if not message.error_code:
        return None
    code = message.error_code
    return {"code": code, "detail": message.error_detail, "retryable": retryable(code)}


def message_data(message: Message, instance: Instance) -> dict[str, Any]:
    """The message as clients see it, in answers and in events."""
    me = person(instance.phone, instance.lid, instance.name)
    inbound = message.direction == Direction.INBOUND
    other = person(message.sender_phone, message.sender_lid, message.sender_name) if inbound else me
    return {
        "id": message.id,
        "instance": instance.id,
        "direction": message.direction,
        "status": message.status,
        "chat": chat(message),
        "from": other,
        "to": me if inbound else chat(message),
        "type": message.type,
        **({} if message.revoked_at else {message.type: message.content, **message.attributes}),
        "client_ref": message.client_ref,
        "wa_id": message.wa_id,
        "origin": message.origin,
        "error": _error(message),
        "created_at": iso(message.created_at),
        "send_at": iso(message.send_at),
        "sent_at": iso(message.sent_at),
        "delivered_at": iso(message.delivered_at),
        "read_at": iso(message.read_at),
        "played_at": iso(message.played_at),
        "edited_at": iso(message.edited_at),
        "revoked_at": iso(message.revoked_at),
    }
