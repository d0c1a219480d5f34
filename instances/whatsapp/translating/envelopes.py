"""Takes a message out of the envelopes around it, and reads what goes with its content."""

from __future__ import annotations

from typing import Any, NamedTuple

from instances.whatsapp.jids import Jid
from instances.whatsapp.news import Key, Person
from instances.whatsapp.translating.values import jid_in, key_of, person, text, wa_id

DEEPEST = 12
_MOST_MENTIONS = 1_100  # a group has at most 1,024 members
_VIEW_ONCE = frozenset({"viewOnceMessage", "viewOnceMessageV2", "viewOnceMessageV2Extension"})
_ENVELOPES = (
    "deviceSentMessage",
    "botInvokeMessage",
    "ephemeralMessage",
    *sorted(_VIEW_ONCE),
    "documentWithCaptionMessage",
    "lottieStickerMessage",
    "editedMessage",
    "groupMentionedMessage",
    "associatedChildMessage",
    "statusMentionMessage",
    "groupStatusMentionMessage",
    "groupStatusMessage",
    "groupStatusMessageV2",
    "limitSharingMessage",
    "pollCreationMessageV4",
    "botForwardedMessage",
    "spoilerMessage",
    "questionMessage",
    "questionReplyMessage",
    "newsletterAdminProfileMessage",
    "newsletterAdminProfileStatusMessage",
    "newsletterScheduledMessage",
    "statusAddYours",
)


class Opened(NamedTuple):
    message: Any
    view_once: bool
    secret: bytes
    association: Any | None  # waE2E.MessageAssociation


def opened(message: Any) -> Opened:
    """The innermost message, at most DEEPEST envelopes deep, and what the envelopes said."""
    view_once, secret, association = False, b"", None
    for _ in range(DEEPEST):
        if message.HasField("messageContextInfo"):
            secret = secret or message.messageContextInfo.messageSecret
            if message.messageContextInfo.HasField("messageAssociation"):
                association = message.messageContextInfo.messageAssociation
        name = next((name for name in _ENVELOPES if message.HasField(name)), None)
        if name is None or not getattr(message, name).HasField("message"):
            break
        view_once = view_once or name in _VIEW_ONCE
        message = getattr(message, name).message
    return Opened(message, view_once, secret, association)


def context_of(part: Any) -> Any | None:
    """The waE2E.ContextInfo of a kind of message; None if it has none."""
    if part is None or isinstance(part, str | bytes) or "contextInfo" not in part.DESCRIPTOR.fields_by_name:
        return None
    return part.contextInfo if part.HasField("contextInfo") else None


def attributes_of(part: Any, context: Any | None, view_once: bool) -> dict[str, Any]:
    """What goes with the content, but for the reply and the album."""
    found: dict[str, Any] = {}
    if view_once or getattr(part, "viewOnce", False) is True:
        found["view_once"] = True
    if context is None:
        return found
    mentions = [person(jid_in(one)) for one in context.mentionedJID[:_MOST_MENTIONS]]
    if named := [one for one in mentions if one is not None]:
        found["mentions"] = [{"id": one.jid, "phone": one.phone, "lid": one.lid, "name": None} for one in named]
    if context.nonJIDMentions:
        found["mention_all"] = True
    if context.isForwarded or context.forwardingScore:
        found["forwarded"] = True
    if context.expiration:
        found["expires_in"] = context.expiration
    return found


def quoted_by(context: Any | None) -> Key | None:
    """The message that is answered."""
    if context is None or not context.stanzaID:
        return None
    return Key(wa_id(context.stanzaID), person(jid_in(context.participant)))


def album_of(association: Any | None, chat: Jid, sender: Person, from_me: bool) -> Key | None:
    """The album that a message belongs to."""
    if association is None or association.associationType != association.MEDIA_ALBUM:
        return None
    return key_of(association.parentMessageKey, chat, sender, from_me)


def link_preview_of(part: Any) -> dict[str, Any] | None:
    """The preview of a link in a text."""
    if not part.matchedText or not (part.title or part.description):
        return None
    preview = {"url": text(part.matchedText, 2_000), "title": text(part.title, 1_000)}
    return preview | ({"description": text(part.description, 2_000)} if part.description else {})
