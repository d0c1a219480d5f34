"""Messages that change or answer another one: reactions, edits, deletions, votes, responses, pins.

Here they are only read. Whether they are believed is decided where they meet their target.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from instances.whatsapp.jids import Jid
from instances.whatsapp.news import Key, Person, Sealed
from instances.whatsapp.protos import EventResponseMessage, Message, PollVoteMessage, ReactionMessage
from instances.whatsapp.translating.contents import content_of, kind_of
from instances.whatsapp.translating.envelopes import opened
from instances.whatsapp.translating.values import key_of, text

_LONGEST_EMOJI = 100
_LONGEST_SEALED = 65_536
_MOST_VOTES = 50
RESPONSES = {1: "going", 2: "not_going", 3: "maybe"}

# What the key for a sealed part is derived with.
POLL_VOTE, EVENT_RESPONSE = "Poll Vote", "Event Response"
REACTION, EVENT_EDIT, MESSAGE_EDIT = "Enc Reaction", "Event Edit", "Message Edit"


class Change(NamedTuple):
    type: str
    content: dict[str, Any]
    target: Key | None
    sealed: Sealed | None = None


def _sealed(purpose: str, part: Any) -> Sealed | None:
    if not part.encPayload or len(part.encPayload) > _LONGEST_SEALED:
        return None
    return Sealed(purpose, part.encIV[:16], part.encPayload)


def new_content(message: Any) -> dict[str, Any]:
    """What an edit puts in the place of a content: ``{type: content}``; empty when it is nothing known."""
    inner = opened(message).message
    if (kind := kind_of(inner)) is None:
        return {}
    found = content_of(*kind)
    return {} if found.type == "unsupported" else {found.type: found.content}


def edit_content(message: Any) -> dict[str, Any]:
    """The words of an edit in the API: a text, or the caption of a file; of an event all of it."""
    new = new_content(message)
    for type_, content in new.items():
        if type_ in ("text", "event"):
            return {type_: content}
        if isinstance(content, dict):
            return {"caption": content.get("caption", "")}
    return {}


def _protocol(part: Any, key: Callable[[Any], Key | None]) -> Change | None:
    if part.type == part.REVOKE and part.HasField("key"):
        return Change("revoke", {}, key(part.key))
    if part.type == part.MESSAGE_EDIT and part.HasField("key"):
        return Change("edit", edit_content(part.editedMessage), key(part.key))
    return None


def _secret_encrypted(part: Any, key: Callable[[Any], Key | None]) -> Change | None:
    purpose = {part.EVENT_EDIT: EVENT_EDIT, part.MESSAGE_EDIT: MESSAGE_EDIT}.get(part.secretEncType)
    return Change("edit", {}, key(part.targetMessageKey), _sealed(purpose, part)) if purpose else None


def _pin(message: Any, key: Callable[[Any], Key | None]) -> Change:
    part = message.pinInChatMessage
    seconds = message.messageContextInfo.messageAddOnDurationInSecs if part.type == part.PIN_FOR_ALL else 0
    return Change("pin", {"seconds": seconds}, key(part.key))


def change_of(message: Any, chat: Jid, sender: Person, from_me: bool) -> Change | None:
    """What a message out of its envelopes changes; None for a message of its own."""

    def key(found: Any) -> Key | None:
        return key_of(found, chat, sender, from_me)

    if message.HasField("protocolMessage"):
        return _protocol(message.protocolMessage, key)
    if message.HasField("reactionMessage"):
        part = message.reactionMessage
        return Change("reaction", {"emoji": text(part.text, _LONGEST_EMOJI)}, key(part.key))
    if message.HasField("encReactionMessage"):
        part = message.encReactionMessage
        return Change("reaction", {"emoji": None}, key(part.targetMessageKey), _sealed(REACTION, part))
    if message.HasField("pollUpdateMessage"):
        part = message.pollUpdateMessage
        vote = _sealed(POLL_VOTE, part.vote)
        return Change("poll_vote", {"options": None}, key(part.pollCreationMessageKey), vote)
    if message.HasField("encEventResponseMessage"):
        part = message.encEventResponseMessage
        response = _sealed(EVENT_RESPONSE, part)
        return Change("event_response", {"response": None}, key(part.eventCreationMessageKey), response)
    if message.HasField("pinInChatMessage"):
        return _pin(message, key)
    if message.HasField("secretEncryptedMessage"):
        return _secret_encrypted(message.secretEncryptedMessage, key)
    return None


# --- what a sealed part holds, once its target's secret has opened it; all raise DecodeError ---------------


def votes_in(plain: bytes) -> list[bytes]:
    """SHA-256 of the chosen options."""
    return [bytes(one) for one in PollVoteMessage.FromString(plain).selectedOptions[:_MOST_VOTES]]


def response_in(plain: bytes) -> str | None:
    return RESPONSES.get(EventResponseMessage.FromString(plain).response)


def emoji_in(plain: bytes) -> str:
    return text(ReactionMessage.FromString(plain).text, _LONGEST_EMOJI)


def edit_in(plain: bytes) -> dict[str, Any]:
    message = opened(Message.FromString(plain)).message
    if message.HasField("protocolMessage"):
        message = message.protocolMessage.editedMessage
    return edit_content(message)
