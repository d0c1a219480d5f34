"""A message as a person would see it, in the words of the control API (docs/sandbox.md)."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from typing import Any

from sandbox.wire import Jid, WireError

from .kinds import MEDIA, POLLS, TYPES, VIEW_ONCE, content_of, unwrapped

Described = dict[str, Any]


def _plain(value: Any) -> Any:
    """As JSON has it: bytes in base64, and what is no number by its name."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _fields(part: Any, names: dict[str, str]) -> Described:
    """Those of the protobuf's fields that are set, under other names."""
    return {ours: _plain(getattr(part, theirs)) for theirs, ours in names.items() if part.HasField(theirs)}


_ATTACHMENT = {
    "mimetype": "mimetype",
    "fileLength": "size",
    "caption": "caption",
    "fileName": "filename",
    "width": "width",
    "height": "height",
    "seconds": "seconds",
    "pageCount": "pages",
    "waveform": "waveform",
    "JPEGThumbnail": "thumbnail",
    "pngThumbnail": "thumbnail",
    "isAnimated": "animated",
    "gifPlayback": "gif",
    "PTT": "voice",
}
_LOCATION = {
    "degreesLatitude": "latitude",
    "degreesLongitude": "longitude",
    "name": "name",
    "address": "address",
    "URL": "url",
}
_LIVE_LOCATION = {
    "degreesLatitude": "latitude",
    "degreesLongitude": "longitude",
    "accuracyInMeters": "accuracy_m",
    "speedInMps": "speed_mps",
    "degreesClockwiseFromMagneticNorth": "heading_degrees",
    "caption": "caption",
    "sequenceNumber": "sequence",
}
_PREVIEW = {"matchedText": "url", "title": "title", "description": "description", "JPEGThumbnail": "thumbnail"}
_INVITE = {
    "groupJID": "group",
    "inviteCode": "code",
    "inviteExpiration": "expires_at",
    "groupName": "name",
    "caption": "caption",
}
_EVENT = {
    "name": "name",
    "description": "description",
    "startTime": "starts_at",
    "endTime": "ends_at",
    "joinLink": "call",
    "isCanceled": "cancelled",
}


def _attachment(name: str, part: Any) -> Described:
    known = {theirs: ours for theirs, ours in _ATTACHMENT.items() if theirs in part.DESCRIPTOR.fields_by_name}
    return _fields(part, known) | ({"round": True} if name == "ptvMessage" else {})


def _text(name: str, part: Any) -> Described:
    if name == "conversation":
        return {"text": part}
    return {"text": part.text} | ({"link_preview": _fields(part, _PREVIEW)} if part.HasField("matchedText") else {})


def _contacts(name: str, part: Any) -> list[Described]:
    cards = [part] if name == "contactMessage" else part.contacts
    return [{"name": card.displayName, "vcard": card.vcard} for card in cards]


def _poll(part: Any) -> Described:
    options = [option.optionName for option in part.options]
    return {"question": part.name, "options": options, "selectable": part.selectableOptionsCount}


def _event(part: Any) -> Described:
    place = {"location": _fields(part.location, _LOCATION)} if part.HasField("location") else {}
    return _fields(part, _EVENT) | place


def _pin(message: Any, part: Any) -> Described:
    pinned = part.type == part.PIN_FOR_ALL
    seconds = message.messageContextInfo.messageAddOnDurationInSecs if pinned else 0
    return {"message_id": part.key.ID, "seconds": seconds}


_PLAIN: dict[str, Callable[[Any], Any]] = {
    "locationMessage": lambda part: _fields(part, _LOCATION),
    "liveLocationMessage": lambda part: _fields(part, _LIVE_LOCATION),
    "reactionMessage": lambda part: {"message_id": part.key.ID, "emoji": part.text},
    "pollUpdateMessage": lambda part: {"message_id": part.pollCreationMessageKey.ID},
    "encEventResponseMessage": lambda part: {"message_id": part.eventCreationMessageKey.ID},
    "albumMessage": lambda part: {"images": part.expectedImageCount, "videos": part.expectedVideoCount},
    "groupInviteMessage": lambda part: _fields(part, _INVITE),
    "eventMessage": _event,
    **dict.fromkeys(POLLS, _poll),
}
_READABLE = ("caption", "question", "name", "emoji")


def _readable(content: Any) -> str:
    if isinstance(content, list):
        return ", ".join(card["name"] for card in content)
    return next((str(content[name]) for name in _READABLE if name in content), "")


def _bare(text: str) -> str:
    """A JID without the device."""
    try:
        return str(Jid.parse(text).bare)
    except WireError:
        return text


def _context(part: Any) -> Described:
    """What goes with the content: who is quoted and mentioned, and so on."""
    if getattr(part, "DESCRIPTOR", None) is None or "contextInfo" not in part.DESCRIPTOR.fields_by_name:
        return {}
    info, out = part.contextInfo, Described()
    if info.stanzaID:
        out["reply_to"] = info.stanzaID
        quoted = describe(info.quotedMessage) if info.HasField("quotedMessage") else None
        out["context"] = {"message_id": info.stanzaID, "from": _bare(info.participant), "quoted": quoted}
    if info.mentionedJID:
        out["mentions"] = [_bare(jid) for jid in info.mentionedJID]
    if info.nonJIDMentions:
        out["mention_all"] = True
    if info.isForwarded:
        out["forwarded"] = True
    if info.expiration:
        out["expires_in"] = info.expiration
    return out


def describe(message: Any) -> Described:
    """{"type", "text"} of a Message, the content under its type's name, and what goes with it."""
    inner = unwrapped(message)
    name, part = content_of(inner)
    if name == "protocolMessage":
        return _protocol(part)
    kind = TYPES.get(name, name or "empty")
    out: Described = {"type": kind, "text": ""}
    content: Any = None
    if name in MEDIA:
        content = _attachment(name, part)
        out |= {key: content[key] for key in ("mimetype", "size", "filename") if key in content}
    elif kind == "contacts":
        content = _contacts(name, part)
    elif kind == "pin":
        content = _pin(inner, part)
    elif name in _PLAIN:
        content = _PLAIN[name](part)
    if kind == "text":
        out |= _text(name, part)
    elif content is not None:
        out |= {kind: content, "text": _readable(content)}
        if isinstance(content, dict) and "message_id" in content:
            out["target"] = content["message_id"]
    if any(message.HasField(wrapper) for wrapper in VIEW_ONCE) or getattr(part, "viewOnce", False):
        out["view_once"] = True
    for envelope in (message, inner):
        association = envelope.messageContextInfo.messageAssociation
        if association.associationType == association.MEDIA_ALBUM:
            out["album"] = association.parentMessageKey.ID
    return out | _context(part)


def _protocol(part: Any) -> Described:
    """Edits, deletions and settings of a chat."""
    target = {"message_id": part.key.ID}
    if part.type == part.MESSAGE_EDIT:
        new = describe(part.editedMessage)
        return {"type": "edit", "text": new["text"], "target": part.key.ID, "edit": {**target, "body": new["text"]}}
    if part.type == part.REVOKE:
        return {"type": "revoke", "text": "", "target": part.key.ID, "revoke": target}
    if part.type == part.EPHEMERAL_SETTING:
        return {"type": "disappearing", "text": "", "disappearing": {"seconds": part.ephemeralExpiration}}
    return {"type": "protocol", "text": ""}
