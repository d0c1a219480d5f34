"""From a checked body to what is put into the ledger."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET

from config.timestamps import iso
from instances.whatsapp.jids import GROUP, LID, PHONE, Jid
from media.references import MediaRef
from messaging.accepting.delivery import with_delivery
from messaging.accepting.orders import Outgoing
from messaging.kinds import rules
from messaging.kinds.contents import Album, File
from messaging.kinds.sends import Envelope, SendAlbum, SendText
from messaging.selectors import person

_SOURCE = ("id", "link", "data", "mime_type")
_CHATS = frozenset({PHONE, LID, GROUP})
_SWITCHES = ("mention_all", "view_once")
_KINDS = {"gif": "gif", "round": "round", "voice": "voice"}


def outgoing(send: Envelope) -> Outgoing:
    """Raises Problem ``invalid_request`` or ``unsupported_by_engine``."""
    return with_delivery(_outgoing(send), send)


def _outgoing(send: Envelope) -> Outgoing:
    to = rules.jid_of(send.to, "/to", to=True)
    if type(send) is SendText and to.server in _CHATS and _is_plain(send):  # the most frequent one, without detours
        return Outgoing(send.instance, to, "text", {"body": send.text.body}, send.client_ref)
    type_ = str(send.__struct_config__.tag)
    rules.check(send, type_, to)
    client_ref = send.client_ref
    if isinstance(send, SendText):
        return Outgoing(send.instance, to, type_, _text(send), client_ref, _attributes(send))
    content = getattr(send, type_)
    if isinstance(content, File):
        words, media = file(content, type_)
        return Outgoing(send.instance, to, type_, words, client_ref, _attributes(send), media)
    if isinstance(send, SendAlbum):
        return _album(send, to)
    return Outgoing(send.instance, to, type_, _words(content), client_ref, _attributes(send))


def _is_plain(send: SendText) -> bool:
    text = send.text
    return (
        text.link_preview is UNSET
        and text.background is UNSET
        and send.context is UNSET
        and send.expires_in is UNSET
        and send.mentions is UNSET
        and send.mention_all is UNSET
        and send.audience is UNSET
    )


def file(content: File, type_: str) -> tuple[dict[str, Any], MediaRef]:
    """What is said of a file, without the file, and how it is named."""
    words = {name: value for name, value in _words(content).items() if name not in _SOURCE}
    kind = next((kind for name, kind in _KINDS.items() if words.get(name)), type_)
    source = {name: value for name in (*_SOURCE, "filename") if (value := getattr(content, name)) is not UNSET}
    return words, MediaRef(kind, **source)


def _words(content: Any) -> Any:
    """A content as JSON, moments as everywhere."""
    words = msgspec.to_builtins(content)
    for name in ("starts_at", "ends_at", "expires_at"):
        if isinstance(moment := getattr(content, name, None), datetime):
            words[name] = iso(moment)
    return words


def _text(send: SendText) -> dict[str, Any]:
    background = send.text.background
    return {"body": send.text.body} if background is UNSET else {"body": send.text.body, "background": background}


def _album(send: SendAlbum, to: Jid) -> Outgoing:
    content: Album = send.album
    shared = {name: value for name, value in _attributes(send).items() if name == "expires_in"}
    items = []
    for one in content.items:
        type_ = str(one.__struct_config__.tag)
        words, media = file(one, type_)
        words.pop("type")
        items.append(Outgoing(send.instance, to, type_, words, None, shared, media))
    return Outgoing(send.instance, to, "album", {}, send.client_ref, _attributes(send), items=tuple(items))


def _attributes(send: Envelope) -> dict[str, Any]:
    """What goes with the content."""
    found: dict[str, Any] = {}
    if (context := getattr(send, "context", UNSET)) is not UNSET:
        found["context"] = {"message_id": context.message_id}
    if (seconds := getattr(send, "expires_in", UNSET)) is not UNSET:
        found["expires_in"] = seconds
    for name in _SWITCHES:
        if getattr(send, name, UNSET) is True:
            found[name] = True
    for name in ("mentions", "audience"):
        if (people := getattr(send, name, UNSET)) is not UNSET:
            found[name] = [_person(text, f"/{name}/{place}") for place, text in enumerate(people)]
    if isinstance(send, SendText) and send.text.link_preview is True:
        found["link_preview"] = True
    return found


def _person(text: str, pointer: str) -> dict[str, Any]:
    jid = rules.jid_of(text, pointer)
    return person(None, str(jid)) if jid.server == LID else person(jid.user, None)
