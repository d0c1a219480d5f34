"""Composes a message of the ledger for the engine, directly before it is sent."""

from __future__ import annotations

from instances.holding.attachments import Held
from instances.whatsapp.building import Named, Outbound
from instances.whatsapp.files import NotSendable, UploadedFile
from instances.whatsapp.jids import Jid, parse
from messaging.accepting.referring import author_jid
from messaging.models import LinkPreview, Message
from messaging.sending.transfers import uploaded

_ABOUT = frozenset({"reaction", "edit", "revoke", "pin"})


def names_others(row: Message) -> bool:
    """Whether it is about other messages, whose WhatsApp ids it needs."""
    return bool(row.attributes) or row.type in _ABOUT


def compose(row: Message, held: Held) -> Outbound:
    """What is to be sent for a row; its file is uploaded. Queries only for messages that it names.

    Raises NotSendable.
    """
    file = uploaded(held, row) if row.media_id is not None else None
    quoted = target = album = None
    if names_others(row):
        named = _named(row)
        quoted = _quoted(named.get("context"))
        target = _target(row, named.get("target"), held)
        album = _album(row, named.get("album"))
    return Outbound(
        to=parse(row.chat),
        type=row.type,
        content=row.content,
        secret=bytes(row.secret),
        attributes=row.attributes,
        file=file,
        thumbnail=_thumbnail(row),
        quoted=quoted,
        target=target,
        album=album,
    )


def _thumbnail(row: Message) -> bytes:
    if row.type != "text" or "link_preview" not in row.content:
        return b""
    preview = LinkPreview.objects.filter(message_id=row.pk).first()
    return bytes(preview.thumbnail) if preview else b""


def _named(row: Message) -> dict[str, Message | None]:
    """The rows that a message names, by what for; one that is gone is None."""
    ids = {
        "context": (row.attributes.get("context") or {}).get("message_id"),
        "album": row.attributes.get("album"),
        "target": row.content["message_id"] if row.type in _ABOUT else None,
    }
    wanted = {what: id_ for what, id_ in ids.items() if id_}
    found = Message.objects.select_related("instance").in_bulk(list(wanted.values())) if wanted else {}
    return {what: found.get(id_) for what, id_ in wanted.items()}


def _quoted(named: Message | None) -> Named | None:
    """An answer to what has been erased since goes out without the quotation."""
    if named is None or named.wa_id is None:
        return None
    return Named(named.wa_id, parse(named.chat), author_jid(named), named.type, named.content, own=_own(named))


def _target(row: Message, named: Message | None, held: Held) -> Named | None:
    if row.type not in _ABOUT:
        return None
    if named is None or named.wa_id is None:
        raise NotSendable("message_not_found", "The message that it is about is gone.")
    file = _file_of(row, named, held)
    return Named(named.wa_id, parse(named.chat), author_jid(named), named.type, named.content, file=file)


def _own(named: Message) -> Jid | None:
    own = named.instance.lid if named.chat_lid or named.chat.endswith("@g.us") else None
    text = own or named.instance.device_jid
    return parse(text).bare if text else None


def _file_of(row: Message, named: Message, held: Held) -> UploadedFile | None:
    """A new caption goes out with its file, as the phones send it; without it if the file is gone."""
    if row.type != "edit" or "caption" not in row.content or named.media_id is None:
        return None
    try:
        return uploaded(held, named)
    except NotSendable:
        return None


def _album(row: Message, album: Message | None) -> Named | None:
    """An item whose album did not leave goes out by itself."""
    if album is None or album.wa_id is None:
        return None
    return Named(album.wa_id, parse(album.chat), None, album.type, album.content)
