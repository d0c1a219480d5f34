"""Messages: those that could be decrypted, and those that could not."""

from __future__ import annotations

import logging
from typing import Any

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from instances.whatsapp.jids import NEWSLETTER, Jid
from instances.whatsapp.news import Inbound, Key, Person
from instances.whatsapp.protos import parts, proto
from instances.whatsapp.translating import envelopes
from instances.whatsapp.translating.changes import change_of, edit_content
from instances.whatsapp.translating.contents import Content, content_of, kind_of
from instances.whatsapp.translating.values import both, is_direct, is_list, jid_of, moment, text, wa_id

log = logging.getLogger("whatsapp")
_CHANNEL_EDIT, _CHANNEL_REVOKE = "3", "8"  # of a post, under whose id they come
_SECRET_BYTES = 32


def read(message: Any, header: Inbound, chat: Jid) -> Inbound | None:
    """A message (waE2E.Message) with what is known of it from outside; None if it holds nothing for a person.

    ``header`` has the columns that do not depend on the content.
    """
    opened = envelopes.opened(message)
    inner, sender, from_me = opened.message, header.sender, header.from_me
    kind = kind_of(inner)
    secret = opened.secret if len(opened.secret) == _SECRET_BYTES else header.secret
    context = envelopes.context_of(kind[1] if kind else None)
    found = {"secret": secret, "raw": message.SerializePartialToString()}
    if change := change_of(inner, chat, sender, from_me):
        if change.target is None:
            return None
        return _filled(
            header, found, type=change.type, content=change.content, target=change.target, sealed=change.sealed
        )
    if kind is None:
        if inner.ListFields() or not len(UnknownFieldSet(inner)):
            return None
        return _filled(header, found, type="unsupported", content={"kind": "unknown"})
    name, part = kind
    content: Content = content_of(name, part)
    return _filled(
        header,
        found,
        type=content.type,
        content=content.content,
        text=content.text,
        file=content.file,
        attributes=header.attributes | envelopes.attributes_of(part, context, opened.view_once),
        quoted=envelopes.quoted_by(context),
        album=envelopes.album_of(opened.association, chat, sender, from_me),
    )


def _filled(header: Inbound, *values: dict[str, Any], **more: Any) -> Inbound:
    columns = {name: getattr(header, name) for name in Inbound.__dataclass_fields__}
    for one in (*values, more):
        columns |= one
    return Inbound(**columns)


def header_of(info: Any) -> tuple[Inbound, Jid]:
    """What an event's neonize.MessageInfo tells, without a content, and the chat."""
    source = info.MessageSource
    chat, sender_jid = jid_of(source.Chat).bare, jid_of(source.Sender).bare
    sender = both(sender_jid, jid_of(source.SenderAlt), info.Pushname)
    if is_list(chat) and not source.IsFromMe:
        chat = sender_jid
    other = _other(chat, source, sender)
    header = Inbound(
        wa_id=wa_id(info.ID),
        chat=text(other.jid if other else str(chat), 60),
        chat_lid=other.lid if other else None,
        sender=sender,
        from_me=source.IsFromMe,
        sent_at=moment(info.Timestamp),
        type="",
        attributes={"server_id": info.ServerID} if info.ServerID > 0 else {},
    )
    return header, chat


def _other(chat: Jid, source: Any, sender: Person) -> Person | None:
    """The other person of a chat of two; None for any other chat."""
    if not is_direct(chat):
        return None
    return sender if not source.IsFromMe else both(chat, jid_of(source.RecipientAlt))


def message(raw: bytes) -> Inbound | None:
    """Event 17. What cannot be read at all becomes a message that says so: no later one is lost by it."""
    try:
        event = proto.Message.FromString(raw)
        info = event.Info
    except DecodeError:
        return _unreadable(raw)
    if info.Category == "peer" or not info.ID:
        return None  # keys, history notes and other talk between devices
    header, chat = header_of(info)
    try:
        if chat.server == NEWSLETTER and info.Edit in (_CHANNEL_EDIT, _CHANNEL_REVOKE):
            return _changed_post(event, header)
        found = read(event.Message, header, chat)
    except Exception:
        log.exception("message %s could not be translated", header.wa_id)
        return _filled(header, type="unsupported", content={"kind": "unreadable"})
    view_once = event.IsViewOnce or event.IsViewOnceV2 or event.IsViewOnceV2Extension
    if found is not None and view_once and found.target is None:
        found.attributes["view_once"] = True
    return found


def _changed_post(event: Any, header: Inbound) -> Inbound:
    """An edit or a deletion of a channel's post: a message of its own, named after the post and the time."""
    own = wa_id(f"{header.wa_id}.{event.NewsLetterMeta.EditTS or event.Info.Timestamp}")
    revoked = event.Info.Edit == _CHANNEL_REVOKE
    message = envelopes.opened(event.Message).message
    if message.protocolMessage.HasField("editedMessage"):
        message = message.protocolMessage.editedMessage
    content = {} if revoked else edit_content(message)
    return _filled(header, wa_id=own, type="revoke" if revoked else "edit", content=content, target=Key(header.wa_id))


def _unreadable(raw: bytes) -> Inbound | None:
    """A message nested more deeply than protobuf reads."""
    found = parts(raw, 1)
    if not found:
        return None
    info = proto.MessageInfo.FromString(found[0])
    if info.Category == "peer" or not info.ID:
        return None
    return _filled(header_of(info)[0], type="unsupported", content={"kind": "unreadable"})


def undecryptable(raw: bytes) -> Inbound | None:
    """Event 44: the library asks the sender again, and what comes then has the same id.

    Those that WhatsApp itself hides (reactions, votes and the like) are no news until then.
    """
    event = proto.UndecryptableMessage.FromString(raw)
    if event.Info.Category == "peer" or not event.Info.ID or event.DecryptFailMode == event.DECRYPT_FAIL_HIDE:
        return None
    why = "unavailable" if event.IsUnavailable else "not_decrypted"
    return _filled(header_of(event.Info)[0], type="undecryptable", content={"reason": why})
