"""Receipts and typing."""

from __future__ import annotations

from typing import Any

from instances.whatsapp.jids import BROADCAST, GROUP, Jid
from instances.whatsapp.news import ContactPresence, Person, ReadOnPhone, Receipt, Typing
from instances.whatsapp.protos import proto
from instances.whatsapp.translating.values import both, is_direct, jid_of, moment, person, text, wa_id

_KINDS = {1: "delivered", 9: "delivered", 4: "read", 6: "played"}
_READ_SELF, _RECORDING = 5, 2
_MOST_IDS = 10_000


def _chat_of(source: Any) -> tuple[Jid, Person | None]:
    """The chat, and in a chat of two the other person."""
    chat = jid_of(source.Chat).bare
    if not is_direct(chat):
        return chat, None
    if source.IsFromMe:
        return chat, both(chat, jid_of(source.RecipientAlt))
    return chat, both(jid_of(source.Sender).bare, jid_of(source.SenderAlt))


def receipt(raw: bytes) -> Receipt | ReadOnPhone | None:
    """Event 18."""
    event = proto.Receipt.FromString(raw)
    source, ids = event.MessageSource, tuple(dict.fromkeys(wa_id(one) for one in event.MessageIDs[:_MOST_IDS] if one))
    chat, other = _chat_of(source)
    name, at = text(other.jid if other else str(chat), 60), moment(event.Timestamp)
    if not ids:
        return None
    if source.IsFromMe:
        return ReadOnPhone(ids, name, at) if event.Type == _READ_SELF else None
    kind = _KINDS.get(event.Type)
    if kind is None:
        return None
    member = None
    if chat.server in (GROUP, BROADCAST):
        member = both(jid_of(source.Sender).bare, jid_of(source.SenderAlt))
    return Receipt(ids, kind, at, name, member)


def typing(raw: bytes) -> Typing | None:
    """Event 19."""
    event = proto.ChatPresence.FromString(raw)
    source = event.MessageSource
    if source.IsFromMe:
        return None
    chat, other = _chat_of(source)
    sender = both(jid_of(source.Sender).bare, jid_of(source.SenderAlt))
    writing = "recording" if event.Media == _RECORDING else "composing"
    state = "paused" if event.State == event.PAUSED else writing
    return Typing(text(other.jid if other else str(chat), 60), other.lid if other else None, sender, state)


def contact_presence(raw: bytes) -> ContactPresence | None:
    """Event 20. A time that the library has none for is one before 1970."""
    event = proto.Presence.FromString(raw)
    who = person(jid_of(event.From).bare)
    if who is None:
        return None
    return ContactPresence(who, not event.Unavailable, moment(event.LastSeen) if event.LastSeen > 0 else None)
