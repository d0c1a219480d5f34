"""What goes with a content: the quoted message, who is named, how long it stays."""

from __future__ import annotations

from typing import Any

from instances.whatsapp.building.contents import content_of
from instances.whatsapp.building.outbound import Named, Outbound
from instances.whatsapp.protos import Message

_EVERYONE = 1


def add_context(part: Any, outbound: Outbound) -> None:
    """Fill the ``contextInfo`` of a content; one that needs none stays without."""
    attributes = outbound.attributes
    if outbound.quoted is not None:
        _quote(part.contextInfo, outbound.quoted, outbound)
    if people := attributes.get("mentions"):
        part.contextInfo.mentionedJID.extend(one["id"] for one in people)
    if attributes.get("mention_all"):
        part.contextInfo.nonJIDMentions = _EVERYONE
    if attributes.get("forwarded"):
        part.contextInfo.isForwarded = True
        part.contextInfo.forwardingScore = 1
    if seconds := attributes.get("expires_in"):
        part.contextInfo.expiration = seconds


def _quote(context: Any, quoted: Named, outbound: Outbound) -> None:
    """Clients show the quoted message from this copy, so it holds what there is to be seen, without its file's keys."""
    context.stanzaID = quoted.wa_id
    author = quoted.author or quoted.own
    if author is not None:
        context.participant = str(author)
    if quoted.chat != outbound.to:
        context.remoteJID = str(quoted.chat)
    copy = Message()
    content_of(copy, Outbound(quoted.chat, quoted.type, quoted.content, b"", file=quoted.file))
    context.quotedMessage.CopyFrom(copy)
