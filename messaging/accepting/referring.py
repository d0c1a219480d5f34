"""The messages that sends name: quoted ones, and those that a reaction, edit, deletion, pin or forward is about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q

from config.api.problems import FieldError, Problem
from config.ids import InvalidId, to_uuid
from instances.models import Instance
from instances.whatsapp.jids import GROUP, PHONE, Jid, parse
from media.references import MediaRef
from messaging.accepting.orders import Outgoing
from messaging.models import Message
from messaging.selectors import person
from messaging.states import Direction

EDIT_WINDOW, REVOKE_WINDOW = timedelta(minutes=15), timedelta(hours=60)
ABOUT = frozenset({"reaction", "edit", "revoke", "pin", "forward"})
FILES = frozenset({"image", "video", "audio", "document", "sticker"})
CONTENTS = FILES | {"text", "location", "live_location", "contacts", "poll", "event", "group_invite", "album"}
_FORWARDABLE = FILES | {"text", "location", "contacts", "group_invite"}
_CAPTIONED = frozenset({"image", "video", "document"})
_DETAILS = {
    "message_not_found": "There is no such message in this chat.",
    "not_sent_yet": "The message has no id of WhatsApp yet.",
    "not_yours": "The message is not yours.",
    "too_old": "The message is too old for that.",
    "not_applicable": "This cannot be done to such a message.",
}
# What messages show of their file, beside what is said of it again when it is forwarded.
_OF_THE_FILE = frozenset({"id", "status", "sha256", "size", "seconds", "width", "height", "pages"})


class References:
    """The rows that a group of sends names, fetched in one query; in none when nothing is named."""

    def __init__(self, every: Iterable[Outgoing], instance_ids: Iterable[str]) -> None:
        named = {ref for one in every for _, ref in _named(one)}
        self._rows: dict[tuple[str, str], Message] = {}
        if not named:
            return
        ids = [ref for ref in named if _is_ours(ref)]
        by_name = Q(pk__in=ids) | Q(wa_id__in=named.difference(ids))
        for row in Message.objects.filter(by_name, instance_id__in=list(instance_ids)):
            self._rows[row.instance_id, row.pk] = row
            if row.wa_id and (row.instance_id, row.wa_id) not in self._rows:
                self._rows[row.instance_id, row.wa_id] = row

    def resolve(self, one: Outgoing, instance: Instance, now: datetime) -> Outgoing:
        """The send with the messages that it names looked up.

        Raises Problem ``message_not_found``, ``not_sent_yet``, ``not_yours``, ``too_old`` or ``not_applicable``, with
        the field.
        """
        for pointer, ref in _named(one):
            row = self._rows.get((instance.id, ref))
            code = _refusal(one, pointer, row, one.send_at or now)
            if code or row is None:
                code = code or "message_not_found"
                raise Problem(code, _DETAILS[code], errors=[FieldError(pointer, code, _DETAILS[code])])
            if pointer == "/context/message_id":
                context = {"message_id": row.pk, "wa_id": row.wa_id, "from": _author(row, instance)}
                one = one._replace(attributes={**one.attributes, "context": context})
            elif one.type == "forward":
                one = _forwarded(one, row)
            else:
                one = one._replace(content=one.content | {"message_id": row.pk, "wa_id": row.wa_id})
        return one


def _named(one: Outgoing) -> Iterator[tuple[str, str]]:
    if (context := one.attributes.get("context")) is not None:
        yield "/context/message_id", context["message_id"]
    if one.type in ABOUT:
        yield f"/{one.type}/message_id", one.content["message_id"]


def _is_ours(ref: str) -> bool:
    try:
        to_uuid(ref, "msg")
    except InvalidId:
        return False
    return True


def _refusal(one: Outgoing, pointer: str, row: Message | None, at: datetime) -> str | None:
    """The code of why a row cannot be named so, or None."""
    if row is None:
        return "message_not_found"
    reply = pointer == "/context/message_id"
    if one.type != "forward" and not _in_chat(row, one.to) and not (reply and _wrote(row, one.to)):
        return "message_not_found"
    if row.type not in CONTENTS or row.revoked_at is not None:
        return "not_applicable"
    if row.wa_id is None:
        return "not_sent_yet"
    return None if reply else _refusal_of[one.type](one, row, at)


def _in_chat(row: Message, to: Jid) -> bool:
    return str(to) in (row.chat, row.chat_lid)


def _wrote(row: Message, to: Jid) -> bool:
    """A person can be answered privately to what they wrote in a group or as a status."""
    return row.direction == Direction.INBOUND and (
        to.user == row.sender_phone if to.server == PHONE else str(to) == row.sender_lid
    )


def _age(row: Message, at: datetime) -> timedelta:
    return at - (row.sent_at or row.created_at)


def _edit(one: Outgoing, row: Message, at: datetime) -> str | None:
    if row.direction != Direction.OUTBOUND:
        return "not_yours"
    if row.type != "text" if "text" in one.content else row.type not in _CAPTIONED:
        return "not_applicable"
    return "too_old" if _age(row, at) > EDIT_WINDOW else None


def _revoke(one: Outgoing, row: Message, at: datetime) -> str | None:
    if row.direction != Direction.OUTBOUND and one.to.server != GROUP:
        return "not_yours"
    return "too_old" if _age(row, at) > REVOKE_WINDOW else None


def _forward(one: Outgoing, row: Message, at: datetime) -> str | None:
    gone = row.type in FILES and row.media_id is None
    return "not_applicable" if row.type not in _FORWARDABLE or row.attributes.get("view_once") or gone else None


def _always(one: Outgoing, row: Message, at: datetime) -> str | None:
    return None


_refusal_of = {"edit": _edit, "revoke": _revoke, "forward": _forward, "reaction": _always, "pin": _always}


def _author(row: Message, instance: Instance) -> dict[str, Any]:
    if row.direction == Direction.OUTBOUND:
        return person(instance.phone, instance.lid, instance.name)
    return person(row.sender_phone, row.sender_lid, row.sender_name)


def kind_of(type_: str, content: Any) -> str:
    """What WhatsApp shows a file as: the type, or one of its variants."""
    return next((name for name in ("gif", "round", "voice") if content.get(name)), type_)


def _forwarded(one: Outgoing, row: Message) -> Outgoing:
    attributes = {**one.attributes, "forwarded": True}
    if row.type not in FILES:
        content = {"body": row.content["body"]} if row.type == "text" else row.content
        return one._replace(type=row.type, content=content, attributes=attributes)
    said = {name: value for name, value in row.content.items() if name not in _OF_THE_FILE}
    media = MediaRef(kind_of(row.type, row.content), id=row.media_id)
    return one._replace(type=row.type, content=said, attributes=attributes, media=media)


def author_jid(row: Message) -> Jid | None:
    """Who wrote a message, as keys name them: in groups by LID if it is known; None for the instance itself."""
    if row.direction == Direction.OUTBOUND:
        return None
    phone = f"{row.sender_phone}@{PHONE}" if row.sender_phone else None
    known = (row.sender_lid, phone) if row.chat.endswith(f"@{GROUP}") else (phone, row.sender_lid)
    return next((parse(jid) for jid in known if jid), None)
