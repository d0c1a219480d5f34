"""Translates what the client library reports into our own words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from instances.states import State
from instances.whatsapp.client import jid_of
from instances.whatsapp.jids import LID, PHONE, Jid
from instances.whatsapp.library import proto
from instances.whatsapp.news import Inbound, News, Person, Receipt, StateChange

CONNECTED, STREAM_ERROR = 3, 11


def _moment(seconds: int) -> datetime:
    """A Unix time; the library gives milliseconds in some events."""
    return datetime.fromtimestamp(seconds / 1000 if seconds > 10**11 else seconds, UTC)


def _alias(jid: Jid, other: Jid) -> tuple[str | None, str | None]:
    """Phone and LID of one party, whichever of the two JIDs carries which."""
    known = {one.server: one.user for one in (other, jid) if one.user}
    lid = known.get(LID)
    return known.get(PHONE), f"{lid}@{LID}" if lid else None


_MEDIA = {
    "imageMessage": "image",
    "videoMessage": "video",
    "audioMessage": "audio",
    "documentMessage": "document",
    "stickerMessage": "sticker",
}


def content_of(message: Any) -> tuple[str, dict[str, Any]]:
    """Type and content of a message, in the words of the API; ("", {}) when it holds nothing for a person."""
    if message.conversation or message.HasField("extendedTextMessage"):
        return "text", {"body": message.conversation or message.extendedTextMessage.text}
    for name, kind in _MEDIA.items():
        if message.HasField(name):
            media = getattr(message, name)
            content = {
                "caption": getattr(media, "caption", ""),
                "mime_type": media.mimetype,
                "sha256": media.fileSHA256.hex(),
                "size": media.fileLength,
            }
            return kind, {key: value for key, value in content.items() if value}
    if message.HasField("locationMessage"):
        place = message.locationMessage
        return "location", {"latitude": place.degreesLatitude, "longitude": place.degreesLongitude, "name": place.name}
    if message.HasField("reactionMessage"):
        return "reaction", {"message_id": message.reactionMessage.key.ID, "emoji": message.reactionMessage.text}
    housekeeping = {"messageContextInfo", "senderKeyDistributionMessage", "protocolMessage"}
    kinds = [f.name for f, _ in message.ListFields() if f.name not in housekeeping]
    return ("unsupported", {"kind": kinds[0].removesuffix("Message")}) if kinds else ("", {})


def _message(raw: bytes) -> Inbound | None:
    event = proto.Message.FromString(raw)
    info, source = event.Info, event.Info.MessageSource
    type_, content = content_of(event.Message)
    if info.Category == "peer" or not type_:
        return None  # keys, history notes and other talk between devices
    chat, sender = jid_of(source.Chat).bare, jid_of(source.Sender).bare
    phone, lid = _alias(sender, jid_of(source.SenderAlt))
    chat_phone, chat_lid = (phone, lid) if not source.IsFromMe else _alias(chat, jid_of(source.RecipientAlt))
    direct = chat.server in (PHONE, LID)
    return Inbound(
        wa_id=info.ID,
        chat=(f"{chat_phone}@{PHONE}" if chat_phone else str(chat)) if direct else str(chat),
        chat_lid=chat_lid if direct else None,
        sender=Person(phone, lid, info.Pushname),
        from_me=source.IsFromMe,
        sent_at=_moment(info.Timestamp),
        type=type_,
        content=content,
    )


_RECEIPTS = {1: "delivered", 9: "delivered", 4: "read", 6: "played"}


def _receipt(raw: bytes) -> Receipt | None:
    event = proto.Receipt.FromString(raw)
    kind = _RECEIPTS.get(event.Type)
    if kind is None or event.MessageSource.IsFromMe:
        return None
    return Receipt(tuple(event.MessageIDs), kind, _moment(event.Timestamp))


def _banned(raw: bytes) -> StateChange:
    ban = proto.TemporaryBan.FromString(raw)
    name = proto.TemporaryBan.TempBanReason.Name(ban.Code) if ban.HasField("Code") else "unknown"
    until = datetime.fromtimestamp(datetime.now(UTC).timestamp() + ban.Expire, UTC) if ban.Expire else None
    return StateChange(State.BANNED, "temporary_ban", name.lower().replace("_", " "), until)


def _refused(raw: bytes) -> StateChange:
    failure = proto.ConnectFailure.FromString(raw)
    return StateChange(State.FAILED, "refused", f"{failure.Message or 'no message'} (reason {failure.Reason})")


_TRANSLATORS: dict[int, Callable[[bytes], News | None]] = {
    CONNECTED: lambda raw: StateChange(State.CONNECTED, "online"),
    6: lambda raw: StateChange(State.LOGGED_OUT, "unlinked"),
    7: lambda raw: StateChange(State.REPLACED, "used_elsewhere"),
    8: _banned,
    9: _refused,
    10: lambda raw: StateChange(State.OUTDATED, "client_outdated"),
    STREAM_ERROR: lambda raw: StateChange(State.RECONNECTING, "connection_lost", "stream error"),
    12: lambda raw: StateChange(State.RECONNECTING, "connection_lost"),
    17: _message,
    18: _receipt,
}
CODES = frozenset(_TRANSLATORS)


def translate(code: int, raw: bytes) -> News | None:
    """Our word for an event, or None when it means nothing to us."""
    return _TRANSLATORS[code](raw)
