"""Whole messages: a content in the envelope that its attributes ask for, or something about another message."""

from __future__ import annotations

import time
from typing import Any

from instances.whatsapp.building.contents import add_status_colours, content_of
from instances.whatsapp.building.context import add_context
from instances.whatsapp.building.outbound import Named, Outbound
from instances.whatsapp.jids import STATUS
from instances.whatsapp.protos import Message


def build(outbound: Outbound) -> Any:
    """The message to send to ``outbound.to``. Raises ValueError for a type that cannot be built."""
    message = Message()
    if about := _ABOUT.get(outbound.type):
        assert outbound.target is not None, "composed with its target"
        about(message, outbound, outbound.target)
    else:
        _content(message, outbound)
    message.messageContextInfo.messageSecret = outbound.secret
    return message


def _content(message: Any, outbound: Outbound) -> None:
    inner = _view_once(message, outbound) if outbound.attributes.get("view_once") else message
    part = content_of(inner, outbound)
    if inner is not message:
        part.viewOnce = True
    if outbound.type == "text" and outbound.to == STATUS:
        add_status_colours(part, outbound.content.get("background"))
    add_context(part, outbound)
    if outbound.album is not None:
        association = message.messageContextInfo.messageAssociation
        association.associationType = association.MEDIA_ALBUM
        _name(association.parentMessageKey, outbound.album)


def _view_once(message: Any, outbound: Outbound) -> Any:
    """As WhatsApp's own clients wrap it: older ones then say that they cannot show it."""
    voice = outbound.type == "audio"
    return message.viewOnceMessageV2Extension.message if voice else message.viewOnceMessageV2.message


def _name(key: Any, named: Named) -> None:
    key.remoteJID, key.fromMe, key.ID = str(named.chat), named.author is None, named.wa_id
    if participant := named.participant:
        key.participant = participant


def _milliseconds() -> int:
    return int(time.time() * 1000)


def _reaction(message: Any, outbound: Outbound, target: Named) -> None:
    part = message.reactionMessage
    _name(part.key, target)
    part.text, part.senderTimestampMS = outbound.content["emoji"], _milliseconds()


def _edit(message: Any, outbound: Outbound, target: Named) -> None:
    part = message.editedMessage.message.protocolMessage
    _name(part.key, target)
    part.type, part.timestampMS = part.MESSAGE_EDIT, _milliseconds()
    if text := outbound.content.get("text"):
        part.editedMessage.extendedTextMessage.text = text["body"]
    else:
        new = target.content | {"caption": outbound.content["caption"]}
        content_of(part.editedMessage, Outbound(outbound.to, target.type, new, b"", file=target.file))


def _revoke(message: Any, outbound: Outbound, target: Named) -> None:
    part = message.protocolMessage
    _name(part.key, target)
    part.type = part.REVOKE


def _pin(message: Any, outbound: Outbound, target: Named) -> None:
    part, seconds = message.pinInChatMessage, outbound.content["seconds"]
    _name(part.key, target)
    part.type = part.PIN_FOR_ALL if seconds else part.UNPIN_FOR_ALL
    part.senderTimestampMS = _milliseconds()
    if seconds:
        message.messageContextInfo.messageAddOnDurationInSecs = seconds


_ABOUT = {"reaction": _reaction, "edit": _edit, "revoke": _revoke, "pin": _pin}
