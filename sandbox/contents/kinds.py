"""The fields of a Message: which are attachments, which are envelopes, what the stanza around them says.

Protocol facts
--------------
* A stanza's `type` is "text", "media", "reaction", "poll" or "event"; `mediatype` of <enc> says more about media.
* `edit` is "1" for an edit, "2" for a pin, "7" for what its author takes back and "8" for what an admin does.
* Polls carry <meta polltype="creation|vote">.
"""

from __future__ import annotations

from typing import Any

MEDIA = {
    "imageMessage": "image",
    "videoMessage": "video",
    "ptvMessage": "video",
    "audioMessage": "audio",
    "documentMessage": "document",
    "stickerMessage": "sticker",
}
# What the keys of an attachment are derived with, by the field of Message.
KEY_INFO = {
    "imageMessage": b"WhatsApp Image Keys",
    "stickerMessage": b"WhatsApp Image Keys",
    "videoMessage": b"WhatsApp Video Keys",
    "ptvMessage": b"WhatsApp Video Keys",
    "audioMessage": b"WhatsApp Audio Keys",
    "documentMessage": b"WhatsApp Document Keys",
}
POLLS = (
    "pollCreationMessage",
    "pollCreationMessageV2",
    "pollCreationMessageV3",
    "pollCreationMessageV5",
    "pollCreationMessageV6",
)
TYPES = {
    **MEDIA,
    **dict.fromkeys(POLLS, "poll"),
    "conversation": "text",
    "extendedTextMessage": "text",
    "locationMessage": "location",
    "liveLocationMessage": "live_location",
    "contactMessage": "contacts",
    "contactsArrayMessage": "contacts",
    "reactionMessage": "reaction",
    "pollUpdateMessage": "poll_vote",
    "pinInChatMessage": "pin",
    "albumMessage": "album",
    "groupInviteMessage": "group_invite",
    "eventMessage": "event",
    "encEventResponseMessage": "event_response",
}
VIEW_ONCE = ("viewOnceMessage", "viewOnceMessageV2", "viewOnceMessageV2Extension")
_WRAPPERS = (
    *VIEW_ONCE,
    "ephemeralMessage",
    "documentWithCaptionMessage",
    "editedMessage",
    "lottieStickerMessage",
    "associatedChildMessage",
    "groupMentionedMessage",
    "groupStatusMessage",
    "groupStatusMessageV2",
    "pollCreationMessageV4",
)
_BESIDE = ("messageContextInfo", "senderKeyDistributionMessage")  # never the content itself


def unwrapped(message: Any) -> Any:
    """The message inside of view-once, disappearing and similar envelopes."""
    for _ in range(8):
        inner = next((name for name in _WRAPPERS if message.HasField(name)), None)
        if inner is None:
            break
        message = getattr(message, inner).message
    return message


def content_of(message: Any) -> tuple[str, Any]:
    """Field name and value of what an unwrapped message is about; ("", None) for an empty one."""
    for field, value in message.ListFields():
        if field.name not in _BESIDE:
            return field.name, value
    return "", None


def _media_type(name: str, part: Any) -> str | None:
    match name:
        case "extendedTextMessage":
            return "url" if part.HasField("title") else None
        case "audioMessage":
            return "ptt" if part.PTT else "audio"
        case "videoMessage":
            return "gif" if part.gifPlayback else "video"
        case "ptvMessage":
            return "ptv"
        case "contactMessage":
            return "vcard"
        case "contactsArrayMessage":
            return "contact_array"
    return MEDIA.get(name)


def media_type(message: Any) -> str | None:
    """The attribute `mediatype` of an <enc> with this message; None for anything without an attachment."""
    return _media_type(*content_of(unwrapped(message)))


def stanza_type(message: Any) -> str:
    """The attribute `type` of a <message>."""
    name, part = content_of(unwrapped(message))
    if name in ("reactionMessage", "encReactionMessage"):
        return "reaction"
    if name in POLLS or name == "pollUpdateMessage":
        return "poll"
    if name in ("eventMessage", "encEventResponseMessage"):
        return "event"
    return "media" if _media_type(name, part) else "text"


def edit_attribute(message: Any) -> str | None:
    """The attribute `edit` of a <message>, None for what changes no other message."""
    name, part = content_of(unwrapped(message))
    if name == "protocolMessage" and part.HasField("key"):
        if part.type == part.REVOKE:
            return "7" if part.key.fromMe else "8"
        return "1" if part.type == part.MESSAGE_EDIT else None
    if name == "reactionMessage" and not part.text:
        return "7"
    return "2" if name == "pinInChatMessage" else None
