"""The phone's history, as it comes when a number is linked."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from instances.whatsapp.jids import LID, Jid
from instances.whatsapp.news import Inbound, Key, Person
from instances.whatsapp.protos import proto
from instances.whatsapp.translating.messages import read
from instances.whatsapp.translating.values import both, is_direct, jid_in, moment, person, text, wa_id

MAX_BYTES = 512 * 1024 * 1024  # of one part, out of its compression
_NOBODY = Jid("", LID)
_STATUSES = {3: "delivered", 4: "read", 5: "played"}


class TooLarge(ValueError):
    """The part is larger than MAX_BYTES."""


class HistoryChat(NamedTuple):
    """A conversation: its JIDs and name, and its messages as the phone gave them (WebMessageInfo), oldest first."""

    jid: Jid
    other: Person | None  # in a chat of two
    name: str
    messages: list[Any]
    phones: dict[str, str]  # by LID, as far as this part of the history knows them


class History(NamedTuple):
    """A part of the history. ``people`` are names and pairs of phone and LID."""

    kind: str
    progress: int
    chats: list[HistoryChat]
    people: list[Person]


def unpacked(data: bytes, days: int, most: int, now: datetime) -> History:
    """What a HistoryBlob holds of the last ``days``, at most the newest ``most`` messages of each chat.

    Raises TooLarge, zlib.error, DecodeError.
    """
    inflate = zlib.decompressobj()
    raw = inflate.decompress(data, MAX_BYTES)
    if inflate.unconsumed_tail:
        raise TooLarge
    sync = proto.HistorySync.FromString(raw).Data
    since = int(now.timestamp()) - days * 86_400
    people = list(_people(sync))
    phones = {one.lid: one.phone for one in people if one.lid and one.phone}
    chats = [chat for one in sync.conversations if (chat := _chat(one, since, most, phones)) is not None]
    kind = sync.HistorySyncType.Name(sync.syncType).lower()
    return History(kind, min(sync.progress, 100), chats, people)


def _chat(conversation: Any, since: int, most: int, phones: dict[str, str]) -> HistoryChat | None:
    jid = jid_in(conversation.ID)
    if jid is None:
        return None
    messages = [one.message for one in conversation.messages if one.message.messageTimestamp >= since]
    messages.sort(key=lambda one: one.messageTimestamp)
    alternative = jid_in(conversation.lidJID) or jid_in(conversation.pnJID) or _NOBODY
    name = text(conversation.name or conversation.displayName, 200)
    other = _with_phone(both(jid, alternative, name), phones) if is_direct(jid) else None
    return HistoryChat(jid, other, name, messages[-most:] if most else [], phones)


def _with_phone(one: Person, phones: dict[str, str]) -> Person:
    return Person(one.phone or phones.get(one.lid or ""), one.lid, one.name)


def _people(sync: Any) -> Iterator[Person]:
    for pair in sync.phoneNumberToLidMappings:
        phone, lid = person(jid_in(pair.pnJID)), person(jid_in(pair.lidJID))
        if phone and lid and phone.phone and lid.lid:
            yield Person(phone.phone, lid.lid)
    for one in sync.pushnames:
        if found := person(jid_in(one.ID), one.pushname):
            yield found


def messages_of(chat: HistoryChat, web: Any, me: Person) -> Iterator[Inbound]:
    """A message of the history with its reactions and votes; ``me`` is the number itself."""
    header = _header(chat, web.key, web, me)
    if header is None:
        return
    message = web.message
    protocol = (message.editedMessage.message if message.HasField("editedMessage") else message).protocolMessage
    if protocol.HasField("editedMessage") and protocol.key.ID:
        header, message = replace(header, wa_id=wa_id(protocol.key.ID)), protocol.editedMessage
    found = read(message, header, chat.jid)
    if found is None:
        return
    yield replace(found, raw=b"")  # the history would double the database
    yield from _reactions(chat, web, header, me)
    yield from _votes(chat, web, header, me, found.content)


def _header(chat: HistoryChat, key: Any, web: Any, me: Person) -> Inbound | None:
    identifier = wa_id(key.ID)
    sender = _sender(chat, key, text(web.participant, 100), me)
    if not identifier or sender is None:
        return None
    secret = web.messageSecret if len(web.messageSecret) == 32 else b""
    return Inbound(
        wa_id=identifier,
        chat=text(chat.other.jid if chat.other else str(chat.jid), 60),
        chat_lid=chat.other.lid if chat.other else None,
        sender=sender if key.fromMe else Person(sender.phone, sender.lid, text(web.pushName, 200) or sender.name),
        from_me=key.fromMe,
        sent_at=moment(web.messageTimestamp),
        type="",
        secret=secret,
        status=_STATUSES.get(web.status, "sent") if key.fromMe else "",
        history=True,
    )


def _sender(chat: HistoryChat, key: Any, participant: str, me: Person) -> Person | None:
    if key.fromMe:
        return me
    if chat.other is not None:
        return chat.other
    found = person(jid_in(key.participant)) or person(jid_in(participant)) or both(chat.jid, _NOBODY)
    return _with_phone(found, chat.phones)


def _at(milliseconds: int, header: Inbound) -> datetime:
    return moment(milliseconds) if milliseconds > 10**11 else header.sent_at


def _added(chat: HistoryChat, key: Any, header: Inbound, me: Person, milliseconds: int) -> Inbound | None:
    identifier, sender = wa_id(key.ID), _sender(chat, key, "", me)
    if not identifier or sender is None:
        return None
    status = "sent" if key.fromMe else ""
    return replace(
        header, wa_id=identifier, sender=sender, from_me=key.fromMe, sent_at=_at(milliseconds, header), secret=b"",
        target=Key(header.wa_id), status=status, attributes={},
    )  # fmt: skip


def _reactions(chat: HistoryChat, web: Any, header: Inbound, me: Person) -> Iterator[Inbound]:
    for one in web.reactions:
        if found := _added(chat, one.key, header, me, one.senderTimestampMS):
            yield replace(found, type="reaction", content={"emoji": text(one.text, 100)})


def _votes(chat: HistoryChat, web: Any, header: Inbound, me: Person, content: Any) -> Iterator[Inbound]:
    options = content.get("options", []) if isinstance(content, dict) else []
    for one in web.pollUpdates:
        hashes = {bytes(chosen) for chosen in one.vote.selectedOptions}
        if found := _added(chat, one.pollUpdateMessageKey, header, me, one.senderTimestampMS):
            chosen = [option for option in options if hashlib.sha256(option.encode()).digest() in hashes]
            yield replace(found, type="poll_vote", content={"options": chosen})
