"""What is in a message: its type, text and attachment, as a person would see it."""

from __future__ import annotations

from typing import Any

from .protos import Message

_MEDIA = {
    "imageMessage": "image",
    "videoMessage": "video",
    "ptvMessage": "video",
    "audioMessage": "audio",
    "documentMessage": "document",
    "stickerMessage": "sticker",
}
_OTHERS = {
    "conversation": "text",
    "extendedTextMessage": "text",
    "locationMessage": "location",
    "liveLocationMessage": "location",
    "contactMessage": "contacts",
    "contactsArrayMessage": "contacts",
    "reactionMessage": "reaction",
    "pollCreationMessage": "poll",
    "pollCreationMessageV2": "poll",
    "pollCreationMessageV3": "poll",
    "pollUpdateMessage": "poll_vote",
}
_WRAPPERS = (
    "ephemeralMessage",
    "viewOnceMessage",
    "viewOnceMessageV2",
    "viewOnceMessageV2Extension",
    "documentWithCaptionMessage",
    "editedMessage",
)


def media_type(message: Any) -> str | None:
    """The attribute `mediatype` of a stanza with this message; None for anything without an attachment."""
    return next((kind for name, kind in _MEDIA.items() if message.HasField(name)), None)


def unwrapped(message: Any) -> Any:
    """The message inside of view-once, disappearing and similar envelopes."""
    for _ in range(8):
        inner = next((name for name in _WRAPPERS if message.HasField(name)), None)
        if inner is None:
            break
        message = getattr(message, inner).message
    return message


def describe(serialized: bytes) -> dict[str, Any]:
    """{"type", "text"} of a serialized Message, and where they apply "mimetype", "size" (bytes),
    "filename", "reply_to" and "target" (message ids)."""
    message = unwrapped(Message.FromString(serialized))
    name = next((f.name for f, _ in message.ListFields() if f.name != "messageContextInfo"), "")
    if name == "protocolMessage":
        return _protocol(message.protocolMessage)
    part: Any = getattr(message, name) if name else None
    out: dict[str, Any] = {"type": _MEDIA.get(name) or _OTHERS.get(name) or name or "empty", "text": ""}
    if name in _MEDIA:
        out |= {"text": getattr(part, "caption", ""), "mimetype": part.mimetype, "size": part.fileLength}
        if name == "documentMessage":
            out["filename"] = part.fileName
    elif name == "conversation":
        out["text"] = part
    elif part is not None:
        out["text"] = next((str(getattr(part, f)) for f in ("text", "name", "displayName") if hasattr(part, f)), "")
    if name == "reactionMessage":
        out["target"] = part.key.ID
    if quoted := getattr(getattr(part, "contextInfo", None), "stanzaID", ""):
        out["reply_to"] = quoted
    return out


def _protocol(part: Any) -> dict[str, Any]:
    """Edits and deletions."""
    if part.type == part.MESSAGE_EDIT:
        return {"type": "edit", "text": describe(part.editedMessage.SerializeToString())["text"], "target": part.key.ID}
    if part.type == part.REVOKE:
        return {"type": "revoke", "text": "", "target": part.key.ID}
    return {"type": "protocol", "text": ""}
