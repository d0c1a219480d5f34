"""The content of each kind of message, in the words of the API: the same shapes as for sending."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from config.timestamps import iso
from instances.whatsapp.files import RemoteFile
from instances.whatsapp.translating.envelopes import link_preview_of
from instances.whatsapp.translating.values import moment, moment_or_none, number, text

_CAPTION, _NAME, _URL, _OPTION = 4_096, 1_000, 2_000, 1_000
_LONGEST_VCARD, _MOST_CONTACTS, _MOST_OPTIONS = 20_000, 260, 50


class Content(NamedTuple):
    """``type`` and ``content``, the ``text`` that a search finds it by, and the file that belongs to it."""

    type: str
    content: dict[str, Any] | list[Any]
    text: str = ""
    file: RemoteFile | None = None


def _present(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in ("", None, 0, False)}


def _conversation(part: str | bytes) -> Content:
    return Content("text", {"body": (body := text(part))}, body)


def _text(part: Any) -> Content:
    body, preview = text(part.text), link_preview_of(part)
    return Content("text", {"body": body} | ({"link_preview": preview} if preview else {}), body)


def _media(type_: str, part: Any, kind: str = "", **more: Any) -> Content:
    filename = text(getattr(part, "fileName", "") or getattr(part, "title", ""), 255)
    caption, mime_type = text(getattr(part, "caption", ""), _CAPTION), text(part.mimetype, 100)
    file = RemoteFile(
        kind=kind or type_,
        direct_path=text(part.directPath, _URL),
        media_key=part.mediaKey[:64],
        file_sha256=part.fileSHA256[:64],
        file_enc_sha256=part.fileEncSHA256[:64],
        size=min(part.fileLength, 2**62),
        mime_type=mime_type,
        filename=filename,
    )
    content = _present(
        mime_type=mime_type,
        size=file.size,
        sha256=file.file_sha256.hex(),
        caption=caption,
        filename=filename,
        seconds=getattr(part, "seconds", 0),
        width=getattr(part, "width", 0),
        height=getattr(part, "height", 0),
        pages=getattr(part, "pageCount", 0),
        **more,
    )
    return Content(type_, content, "\n".join(filter(None, [caption, filename])), file)


def _video(part: Any) -> Content:
    return _media("video", part, "gif" if part.gifPlayback else "", gif=part.gifPlayback)


def _audio(part: Any) -> Content:
    return _media("audio", part, "voice" if part.PTT else "", voice=part.PTT)


def place(part: Any) -> dict[str, Any]:
    """A location; also that of an event."""
    return {"latitude": number(part.degreesLatitude), "longitude": number(part.degreesLongitude)} | _present(
        name=text(part.name, _NAME), address=text(part.address, _NAME), url=text(part.URL, _URL)
    )


def _location(part: Any) -> Content:
    content = place(part)
    return Content("location", content, "\n".join(str(content[k]) for k in ("name", "address") if k in content))


def _live_location(part: Any) -> Content:
    caption = text(part.caption, _CAPTION)
    content = {"latitude": number(part.degreesLatitude), "longitude": number(part.degreesLongitude)} | _present(
        accuracy_m=part.accuracyInMeters,
        speed_mps=number(part.speedInMps, 2),
        heading_degrees=part.degreesClockwiseFromMagneticNorth,
        caption=caption,
        sequence=part.sequenceNumber,
    )
    return Content("live_location", content, caption)


_VCARD_LINE = re.compile(
    r"^(?:item\d+\.)?(?P<name>[A-Za-z-]+)(?P<parameters>(?:;[^:\r\n]*)?):(?P<value>[^\r\n]*)", re.M
)
_VCARD_NAMES = ("last_name", "first_name", "middle_name", "prefix", "suffix")


def _unescaped(value: str) -> str:
    return re.sub(r"\\([\\,;nN])", lambda found: "\n" if found[1] in "nN" else found[1], value).strip()


def _contact(part: Any) -> dict[str, Any]:
    """A vCard in the words of the Cloud API; the vCard itself stands beside it."""
    vcard = text(part.vcard, _LONGEST_VCARD)
    name: dict[str, str] = {}
    phones: list[dict[str, str]] = []
    emails: list[dict[str, str]] = []
    contact: dict[str, Any] = {}
    for line in _VCARD_LINE.finditer(re.sub(r"\r?\n[ \t]", "", vcard)):  # folded lines
        value, parameters = line["value"], line["parameters"]
        kinds = re.findall(r"type=\"?([A-Za-z]+)", parameters, re.I)
        kind = {"type": kinds[0].upper()} if kinds else {}
        match line["name"].upper():
            case "FN":
                name["formatted_name"] = _unescaped(value)
            case "N":
                words = zip(_VCARD_NAMES, re.split(r"(?<!\\);", value), strict=False)
                name |= {label: _unescaped(word) for label, word in words if word.strip()}
            case "TEL":
                number_on_whatsapp = re.search(r"waid=([0-9]{5,20})", parameters, re.I)
                phones.append(
                    {"phone": _unescaped(value)}
                    | kind
                    | ({"wa_id": number_on_whatsapp[1]} if number_on_whatsapp else {})
                )
            case "EMAIL":
                emails.append({"email": _unescaped(value)} | kind)
            case "ORG":
                contact["org"] = {"company": _unescaped(value.partition(";")[0])}
    name.setdefault("formatted_name", text(part.displayName, _NAME))
    contact = {"name": name, "phones": phones} | ({"emails": emails} if emails else {}) | contact
    return contact | {"vcard": vcard}


def _contacts(parts: Any) -> Content:
    people = [_contact(part) for part in parts[:_MOST_CONTACTS]]
    return Content("contacts", people, "\n".join(one["name"]["formatted_name"] for one in people))


def _poll(part: Any) -> Content:
    question, options = text(part.name, _NAME), [text(one.optionName, _OPTION) for one in part.options[:_MOST_OPTIONS]]
    content = {"question": question, "options": options, "selectable": min(part.selectableOptionsCount, len(options))}
    return Content("poll", content, "\n".join([question, *options]))


def _group_invite(part: Any) -> Content:
    name, caption = text(part.groupName, _NAME), text(part.caption, _CAPTION)
    content = {"group": text(part.groupJID, 60), "code": text(part.inviteCode, 100), "name": name} | _present(
        expires_at=moment_or_none(part.inviteExpiration), caption=caption
    )
    return Content("group_invite", content, "\n".join(filter(None, [name, caption])))


def _event(part: Any) -> Content:
    name, description = text(part.name, _NAME), text(part.description, _CAPTION)
    content = {"name": name, "starts_at": iso(moment(part.startTime))} | _present(
        description=description,
        ends_at=moment_or_none(part.endTime),
        location=place(part.location) if part.HasField("location") else None,
        call=text(part.joinLink, _URL),
        cancelled=part.isCanceled,
    )
    return Content("event", content, "\n".join(filter(None, [name, description])))


def _album(part: Any) -> Content:
    """The items follow as messages of their own, whose ``album`` is this one's id."""
    return Content("album", {"images": part.expectedImageCount, "videos": part.expectedVideoCount})


_KINDS: dict[str, Callable[[Any], Content]] = {
    "conversation": _conversation,
    "extendedTextMessage": _text,
    "imageMessage": lambda part: _media("image", part),
    "videoMessage": _video,
    "ptvMessage": lambda part: _media("video", part, "round", round=True),
    "audioMessage": _audio,
    "documentMessage": lambda part: _media("document", part),
    "stickerMessage": lambda part: _media("sticker", part, animated=part.isAnimated or part.isLottie),
    "locationMessage": _location,
    "liveLocationMessage": _live_location,
    "contactMessage": lambda part: _contacts([part]),
    "contactsArrayMessage": lambda part: _contacts(part.contacts),
    "pollCreationMessage": _poll,
    "pollCreationMessageV2": _poll,
    "pollCreationMessageV3": _poll,
    "pollCreationMessageV5": _poll,
    "pollCreationMessageV6": _poll,
    "groupInviteMessage": _group_invite,
    "eventMessage": _event,
    "albumMessage": _album,
}
# Beside or instead of a content: keys, settings and notes between devices.
_HOUSEKEEPING = frozenset({
    "messageContextInfo",
    "senderKeyDistributionMessage",
    "fastRatchetKeySenderKeyDistributionMessage",
    "protocolMessage",
    "keepInChatMessage",
    "stickerSyncRmrMessage",
    "groupRootKeyShare",
    "rootSecretDistributeMessage",
    "messageHistoryNotice",
    "acp2SettingMessage",
})  # fmt: skip


def kind_of(message: Any) -> tuple[str, Any] | None:
    """The field that holds the content, and its value; None for a message that holds nothing for a person."""
    fields = [(field.name, value) for field, value in message.ListFields()]
    known = [one for one in fields if one[0] in _KINDS]
    found = known or [one for one in fields if one[0] not in _HOUSEKEEPING]
    return found[0] if found else None


def content_of(name: str, part: Any) -> Content:
    """The content of a field of waE2E.Message; of a kind not known here it says which."""
    if name in _KINDS:
        return _KINDS[name](part)
    return Content("unsupported", {"kind": name.removesuffix("Message")})
