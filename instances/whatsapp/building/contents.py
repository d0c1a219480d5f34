"""The contents of messages, by type: each function fills one field of a message and returns it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from instances.whatsapp.building.outbound import Outbound
from instances.whatsapp.building.vcards import vcard

_WHITE, _STATUS_BACKGROUND = 0xFFFFFFFF, "#1F7AEC"
_STICKER_PIXELS = 512


def content_of(message: Any, outbound: Outbound) -> Any:
    """Put the content into the message; returns the part that takes a ``contextInfo``.

    Raises ValueError for a type without a content of its own.
    """
    fill = _CONTENTS.get(outbound.type)
    if fill is None:
        raise ValueError(f"messages of type {outbound.type!r} cannot be built")
    return fill(message, outbound)


def _seconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp())


def _text(message: Any, outbound: Outbound) -> Any:
    part = message.extendedTextMessage
    part.text = outbound.content["body"]
    if preview := outbound.content.get("link_preview"):
        part.matchedText = preview["url"]
        part.title = preview.get("title", "")
        part.description = preview.get("description", "")
        part.previewType = part.NONE
        if outbound.thumbnail:
            part.JPEGThumbnail = outbound.thumbnail
    return part


def add_status_colours(part: Any, background: str | None) -> None:
    """A text status is white on a colour; without one it cannot be read on some phones."""
    part.backgroundArgb = 0xFF000000 | int((background or _STATUS_BACKGROUND)[1:], 16)
    part.textArgb = _WHITE
    part.font = part.SYSTEM


def _file(part: Any, outbound: Outbound) -> Any:
    """What all files have in common. Without the file itself only what can be read of it is said."""
    content, file = outbound.content, outbound.file
    if (caption := content.get("caption")) and "caption" in part.DESCRIPTOR.fields_by_name:
        part.caption = caption
    if file is None:
        part.mimetype = content.get("mime_type", "")
        return part
    part.URL, part.directPath, part.mimetype = file.url, file.direct_path, file.mime_type
    part.fileSHA256, part.fileLength = file.file_sha256, file.file_length
    if file.media_key:
        part.mediaKey, part.fileEncSHA256 = file.media_key, file.file_enc_sha256
        part.mediaKeyTimestamp = int(time.time())
    return part


def _picture(part: Any, outbound: Outbound) -> Any:
    file = outbound.file
    if file is not None:
        part.width, part.height = file.width or 0, file.height or 0
        if file.thumbnail:
            part.JPEGThumbnail = file.thumbnail
    return _file(part, outbound)


def _image(message: Any, outbound: Outbound) -> Any:
    return _picture(message.imageMessage, outbound)


def _video(message: Any, outbound: Outbound) -> Any:
    part = message.ptvMessage if outbound.content.get("round") else message.videoMessage
    if outbound.file is not None:
        part.seconds = round(outbound.file.seconds or 0)
    if outbound.content.get("gif"):
        part.gifPlayback = True
    return _picture(part, outbound)


def _audio(message: Any, outbound: Outbound) -> Any:
    part, file = message.audioMessage, outbound.file
    part.PTT = bool(outbound.content.get("voice"))
    if file is not None:
        part.seconds = round(file.seconds or 0)
        if file.waveform:
            part.waveform = file.waveform
    return _file(part, outbound)


def _document(message: Any, outbound: Outbound) -> Any:
    captioned = outbound.content.get("caption")
    part = message.documentWithCaptionMessage.message.documentMessage if captioned else message.documentMessage
    file = outbound.file
    name = outbound.content.get("filename") or (file.filename if file else "")
    part.fileName = part.title = name
    if file is not None and file.thumbnail:
        part.JPEGThumbnail = file.thumbnail
    return _file(part, outbound)


def _sticker(message: Any, outbound: Outbound) -> Any:
    part, file = message.stickerMessage, outbound.file
    if file is not None:
        part.width, part.height = file.width or _STICKER_PIXELS, file.height or _STICKER_PIXELS
        part.isAnimated = bool(file.seconds)
    return _file(part, outbound)


def _place(part: Any, place: Any) -> Any:
    part.degreesLatitude, part.degreesLongitude = place.get("latitude", 0), place.get("longitude", 0)
    for name, field in {"name": "name", "address": "address", "url": "URL"}.items():
        if place.get(name):
            setattr(part, field, place[name])
    return part


def _location(message: Any, outbound: Outbound) -> Any:
    return _place(message.locationMessage, outbound.content)


_LIVE = {
    "accuracy_m": "accuracyInMeters",
    "speed_mps": "speedInMps",
    "heading_degrees": "degreesClockwiseFromMagneticNorth",
    "caption": "caption",
    "sequence": "sequenceNumber",
}


def _live_location(message: Any, outbound: Outbound) -> Any:
    part, content = message.liveLocationMessage, outbound.content
    part.degreesLatitude, part.degreesLongitude = content["latitude"], content["longitude"]
    for name, field in _LIVE.items():
        if name in content:
            setattr(part, field, content[name])
    return part


def _contacts(message: Any, outbound: Outbound) -> Any:
    cards = outbound.content
    if len(cards) == 1:
        part = message.contactMessage
        part.displayName, part.vcard = cards[0]["name"]["formatted_name"], vcard(cards[0])
        return part
    part = message.contactsArrayMessage
    part.displayName = f"{len(cards)} contacts"
    for card in cards:
        part.contacts.add(displayName=card["name"]["formatted_name"], vcard=vcard(card))
    return part


def _poll(message: Any, outbound: Outbound) -> Any:
    # The first form of polls: the library knows the stanza's type of no other.
    part, content = message.pollCreationMessage, outbound.content
    part.name, part.selectableOptionsCount = content["question"], content.get("selectable", 1)
    for option in content["options"]:
        part.options.add(optionName=option)
    return part


def _event(message: Any, outbound: Outbound) -> Any:
    part, content = message.eventMessage, outbound.content
    part.name, part.startTime = content["name"], _seconds(content["starts_at"])
    if content.get("ends_at"):
        part.endTime = _seconds(content["ends_at"])
    part.description = content.get("description", "")
    if place := content.get("location"):
        _place(part.location, place)
    if call := content.get("call"):
        part.joinLink, part.isScheduleCall = call, True
    return part


def _group_invite(message: Any, outbound: Outbound) -> Any:
    part, content = message.groupInviteMessage, outbound.content
    part.groupJID, part.inviteCode, part.groupName = content["group"], content["code"], content["name"]
    part.caption = content.get("caption", "")
    if content.get("expires_at"):
        part.inviteExpiration = _seconds(content["expires_at"])
    return part


def _album(message: Any, outbound: Outbound) -> Any:
    part, content = message.albumMessage, outbound.content
    kinds = [item["type"] for item in content.get("items", ())]
    part.expectedImageCount = content.get("images", kinds.count("image"))
    part.expectedVideoCount = content.get("videos", kinds.count("video"))
    return part


_CONTENTS: dict[str, Callable[[Any, Outbound], Any]] = {
    "text": _text,
    "image": _image,
    "video": _video,
    "audio": _audio,
    "document": _document,
    "sticker": _sticker,
    "location": _location,
    "live_location": _live_location,
    "contacts": _contacts,
    "poll": _poll,
    "event": _event,
    "group_invite": _group_invite,
    "album": _album,
}
