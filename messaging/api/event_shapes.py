"""What the events of messages and chats hold."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from config.api.operations import Moment, Shape, identifier
from instances.api.event_shapes import AT
from instances.api.event_shapes import EXAMPLE as INSTANCE
from instances.whatsapp.failures import CODES, COLD
from messaging.api.schema import Contact, Message
from messaging.calls.api.schema import Call
from messaging.calls.models import Call as CallRow
from messaging.calls.selectors import call_data
from messaging.models import Message as Row
from messaging.selectors import message_data, person
from webhooks.catalogue import Content

_ID, _OTHER_ID = "msg_01h455vb4pex5vsknk084sn02q", "msg_01h455vb4pex5vsknk084sn02r"
_JID, _GROUP = "15550100002@s.whatsapp.net", "120363000000000001@g.us"


class MemberProgress(Shape):
    """How far a message to many has come with one of them."""

    message_id: Annotated[str, identifier("msg")]
    wa_id: str | None
    client_ref: str | None
    chat: Contact
    member: Contact
    status: Literal["delivered", "read", "played"]
    at: Moment


class HistoryPart(Shape):
    """A part of the history that the phone gave."""

    kind: Annotated[str, Meta(description="As WhatsApp calls it.", examples=["recent"])]
    progress: Annotated[int, Meta(description="In per cent.")]
    chats: int
    messages: Annotated[int, Meta(description="Those that were new.")]


class Presence(Shape):
    chat: Contact
    sender: Contact = msgspec.field(name="from")
    state: Literal["composing", "recording", "paused"]


class PresenceChange(Shape):
    """Of somebody whose presence was asked for."""

    contact: Contact
    presence: Literal["available", "unavailable"]
    last_seen_at: Annotated[Moment | None, Meta(description="Null: they do not show it.")]
    at: Moment


class ColdHoldEnd(Shape):
    waiting: Annotated[int, Meta(description="How many messages were held, and go out.")]


class UsageThreshold(Shape):
    """How much of the month's messages is used."""

    percent: Annotated[int, Meta(description="The threshold that was reached.", examples=[80])]
    used: int
    limit: int
    renews_at: Moment


def _after(seconds: int) -> datetime:
    return AT + timedelta(seconds=seconds)


def _outbound(status: str, **columns: Any) -> Content:
    of_all = {"id": _ID, "direction": "outbound", "status": status, "type": "text", "content": {"body": "Hello"}}
    row = Row(**of_all | {"chat": _JID, "origin": "api", "client_ref": "order-1042", "created_at": AT} | columns)
    return Content(Message, message_data(row, INSTANCE))


def _inbound(type_: str, content: dict[str, Any], **columns: Any) -> Content:
    row = Row(
        **{"id": _OTHER_ID, "direction": "inbound", "status": "received", "type": type_, "content": content},
        **{"chat": _JID, "sender_phone": "15550100002", "sender_name": "Dana", "wa_id": "3EB0C431C26A1916E07A"},
        **{"created_at": AT, "sent_at": AT} | columns,
    )
    return Content(Message, message_data(row, INSTANCE))


def _call(**columns: Any) -> Content:
    of_all: dict[str, Any] = {"id": "cal_01h455vb4pex5vsknk084sn02q", "instance_id": INSTANCE.id, "wa_id": "8C4F2A71D0"}
    of_all |= {"caller": _JID, "phone": "15550100002", "name": "Dana", "video": False, "group": False, "at": AT}
    return Content(Call, call_data(CallRow(**of_all | columns)))


_SENT = {"wa_id": "3EB0A1B2C3D4E5F60718", "sent_at": _after(1)}
_DELIVERED = _SENT | {"delivered_at": _after(2)}
_READ = _DELIVERED | {"read_at": _after(9)}
_TARGET = {"message_id": _ID, "wa_id": _SENT["wa_id"]}
_WHO = person("15550100002", None, "Dana")
_REFUSED = {"error_code": "not_on_whatsapp", "error_detail": CODES["not_on_whatsapp"].sentence}
_COLD = {"error_code": COLD, "error_detail": CODES[COLD].sentence}

EVENTS = {
    "instance.cold_hold_ended": Content(ColdHoldEnd, {"waiting": 3}),
    "message.queued": _outbound("queued"),
    "message.scheduled": _outbound("scheduled", send_at=_after(3600)),
    "message.preparing": _outbound("preparing", type="image", content={"status": "preparing", "caption": "Our shop"}),
    "message.held": _outbound("held", **_COLD),
    "message.cancelled": _outbound("cancelled"),
    "message.sent": _outbound("sent", **_SENT),
    "message.delivered": _outbound("delivered", **_DELIVERED),
    "message.read": _outbound("read", **_READ),
    "message.played": _outbound(
        "played",
        type="audio",
        content={"status": "stored", "mime_type": "audio/ogg", "size": 8214, "seconds": 4, "voice": True},
        played_at=_after(12),
        **_READ,
    ),
    "message.failed": _outbound("failed", **_REFUSED),
    "message.unconfirmed": _outbound("unconfirmed", wa_id=_SENT["wa_id"]),
    "message.received": _inbound("text", {"body": "Hi, is my order on its way?"}),
    "message.reaction": _inbound("reaction", _TARGET | {"emoji": "👍"}),
    "message.edited": _inbound("edit", _TARGET | {"text": {"body": "Hi, is my order 1042 on its way?"}}),
    "message.revoked": _inbound("revoke", _TARGET),
    "message.poll_vote": _inbound("poll_vote", _TARGET | {"options": ["Tuesday"]}),
    "message.receipt": Content(
        MemberProgress,
        _TARGET
        | {"client_ref": None, "chat": {"id": _GROUP, "phone": None, "lid": None, "name": None}}
        | {"member": _WHO, "status": "read", "at": "2026-11-23T09:30:09.000Z"},
    ),
    "history.synced": Content(HistoryPart, {"kind": "recent", "progress": 40, "chats": 12, "messages": 873}),
    "chat.presence": Content(Presence, {"chat": _WHO, "from": _WHO, "state": "composing"}),
    "contact.presence": Content(
        PresenceChange,
        {"contact": _WHO, "presence": "unavailable", "last_seen_at": "2026-11-23T09:28:41.000Z"}
        | {"at": "2026-11-23T09:30:00.000Z"},
    ),
    "call.received": _call(status="rejecting"),
    "call.ended": _call(status="rejected", reason="rejected", ended_at=_after(1)),
    "subscription.usage": Content(
        UsageThreshold, {"percent": 80, "used": 8000, "limit": 10000, "renews_at": "2026-12-01T00:00:00.000Z"}
    ),
}
