"""Applies messages that change others, received ones and our own, if they are believed.

Reactions and votes replace what the same person said before. An edit is believed from the author, a deletion from
the author or, in a group, from an admin. What is not believed stays a row that says so (``refused``) and changes
nothing. A change that comes before its target waits for it in EarlyChange.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from django.utils import timezone
from google.protobuf.message import DecodeError

from instances.models import Instance
from instances.services import draft
from instances.whatsapp.news import Sealed
from instances.whatsapp.translating import changes as reading
from messaging.finding.searchable import text_of
from messaging.models import EarlyChange, Message, PollVote, Reaction, Revision
from messaging.receiving import groups, sealed
from messaging.receiving.people import author_of, same, same_chat
from messaging.selectors import message_data
from messaging.states import Status
from webhooks.events import Draft

_EVENTS = {
    "reaction": "message.reaction",
    "edit": "message.edited",
    "revoke": "message.revoked",
    "poll_vote": "message.poll_vote",
}
_WAIT_FOR_TARGET = frozenset({"edit", "revoke"})  # nobody is told of them before it is known whether they are believed
_MEDIA = frozenset({"image", "video", "audio", "document"})


@dataclass(slots=True)
class Change:
    """A change and its row, whose content names the target: ``message_id`` (ours, or null) and ``wa_id``."""

    row: Message
    instance: Instance
    sealed: Sealed | None = None


def event_of(change: Change) -> Draft:
    """The event that tells a change: its own message, which names the target."""
    told = "message.sent" if change.row.status == Status.SENT else "message.received"
    return draft(change.instance, _EVENTS.get(change.row.type, told), message_data(change.row, change.instance))


def apply(change: Change, target: Message | None) -> list[Draft]:
    """Apply a saved change to its target, or keep it until the target comes; returns what is to be told.

    ``target`` is changed in memory too. In a transaction with the instance locked. A change of an outbound message
    of ours that is acknowledged only now is applied in the same way.
    """
    if target is None:
        _keep(change)
        return [] if change.row.type in _WAIT_FOR_TARGET else [event_of(change)]
    row = change.row
    row.content = row.content | {"message_id": target.pk}
    if not same_chat(change.instance.id, row, target):
        return _refuse(change, "other_chat")
    return _APPLY[row.type](change, target)


def applied(rows: Iterable[tuple[Message, Instance]]) -> list[Draft]:
    """Apply changes that we sent and WhatsApp acknowledged: outbound rows, of any type."""
    changes = [Change(row, instance) for row, instance in rows if row.type in _EVENTS]
    if not changes:
        return []
    targets = Message.objects.in_bulk([one.row.content.get("message_id") for one in changes])
    return [
        entry
        for one in changes
        if (target := targets.get(one.row.content.get("message_id")))
        for entry in apply(one, target)
    ]


def arrived(rows: Iterable[tuple[Message, Instance]]) -> list[Draft]:
    """Apply the changes that waited for these messages. One SELECT when there are none."""
    targets = {(instance.id, row.wa_id): (row, instance) for row, instance in rows if row.wa_id}
    if not targets:
        return []
    waiting = EarlyChange.objects.filter(
        instance_id__in={instance_id for instance_id, _ in targets}, wa_id__in={wa_id for _, wa_id in targets}
    )
    found = [one for one in waiting.select_related("change").order_by("pk") if (one.instance_id, one.wa_id) in targets]
    if not found:
        return []
    EarlyChange.objects.filter(pk__in=[one.pk for one in found]).delete()
    drafts: list[Draft] = []
    for one in found:
        target, instance = targets[one.instance_id, one.wa_id]
        drafts += apply(_change_of(one, instance), target)
    return drafts


def settle_admins(instance: Instance, jid: str) -> list[Draft]:
    """Apply the deletions in a group that waited for its list of admins."""
    waiting = EarlyChange.objects.filter(instance=instance, change__type="revoke", change__chat=jid).select_related(
        "change"
    )
    found = list(waiting.order_by("pk"))
    wa_ids = [one.wa_id for one in found]
    targets = {row.wa_id: row for row in Message.objects.filter(instance=instance, wa_id__in=wa_ids)}
    drafts: list[Draft] = []
    for one in found:
        if target := targets.get(one.wa_id):
            one.delete()
            drafts += apply(_change_of(one, instance), target)
    return drafts


def _change_of(one: EarlyChange, instance: Instance) -> Change:
    part = Sealed(one.purpose, bytes(one.iv), bytes(one.payload)) if one.purpose else None
    return Change(one.change, instance, part)


def _keep(change: Change) -> None:
    part = change.sealed or Sealed("", b"", b"")
    EarlyChange.objects.create(
        instance=change.instance,
        wa_id=change.row.content["wa_id"],
        change=change.row,
        purpose=part.purpose,
        iv=part.iv,
        payload=part.payload,
    )


def _done(change: Change) -> list[Draft]:
    change.row.save(update_fields=["content"])
    return [event_of(change)]


def _refuse(change: Change, reason: str) -> list[Draft]:
    change.row.attributes = change.row.attributes | {"refused": reason}
    change.row.save(update_fields=["content", "attributes"])
    return []


def _moment(row: Message) -> datetime:
    return row.sent_at or timezone.now()


T = TypeVar("T")


def _opened(change: Change, target: Message, read: Callable[[bytes], T]) -> T | None:
    if change.sealed is None:
        return None
    plain = sealed.unsealed(change.sealed, target, change.row, change.instance)
    try:
        return None if plain is None else read(plain)
    except DecodeError:
        return None


def _is_authors(change: Change, target: Message) -> bool:
    return same(change.instance.id, author_of(change.row), author_of(target))


def _replace(model: type[Reaction] | type[PollVote], change: Change, target: Message, **values: Any) -> bool:
    """Put what a person says now in the place of what it said before; False if that was later."""
    row, who = change.row, author_of(change.row)
    kept: Reaction | PollVote
    for kept in model.objects.filter(message=target):
        if same(change.instance.id, who, type(who)(kept.phone, kept.lid)):
            if kept.at > _moment(row):
                return False
            break
    else:
        kept = model(message=target)
    kept.phone, kept.lid, kept.at = who.phone or kept.phone, who.lid or kept.lid, _moment(row)
    kept.name = row.sender_name or kept.name
    for name, value in values.items():
        setattr(kept, name, value)
    kept.save()
    return True


def _reaction(change: Change, target: Message) -> list[Draft]:
    if change.sealed is not None:
        emoji = _opened(change, target, reading.emoji_in)
        if emoji is None:
            return _refuse(change, "not_opened")
        change.row.content = change.row.content | {"emoji": emoji}
    _replace(Reaction, change, target, emoji=change.row.content["emoji"] or "")
    return _done(change)


def _vote(change: Change, target: Message) -> list[Draft]:
    if target.type != "poll":
        return _refuse(change, "other_type")
    hashes = _opened(change, target, reading.votes_in)
    if hashes is not None:
        change.row.content = change.row.content | {"options": sealed.chosen(hashes, target.content["options"])}
    options = change.row.content.get("options")
    if options is None:
        return _refuse(change, "not_opened")
    _replace(PollVote, change, target, options=options)
    return _done(change)


def _response(change: Change, target: Message) -> list[Draft]:
    if change.sealed is not None:
        response = _opened(change, target, reading.response_in)
        if response is None:
            return _refuse(change, "not_opened")
        change.row.content = change.row.content | {"response": response}
    return _done(change)


def _pin(change: Change, target: Message) -> list[Draft]:
    return _done(change)


def _edited(target: Message, edit: dict[str, Any]) -> Any | None:
    """The target's content after an edit; None if the edit does not fit it."""
    if "event" in edit and target.type == "event":
        return edit["event"]
    new = edit["text"]["body"] if "text" in edit else edit.get("caption")
    if new is None:
        return None
    if target.type == "text":
        return {"body": new}
    return {**target.content, "caption": new} if target.type in _MEDIA else None


def _edit(change: Change, target: Message) -> list[Draft]:
    row = change.row
    if not _is_authors(change, target):
        return _refuse(change, "not_the_author")
    if change.sealed is not None:
        row.content = row.content | (_opened(change, target, reading.edit_in) or {})
    content = _edited(target, row.content)
    if content is None or target.revoked_at is not None:
        return _refuse(change, "does_not_fit")
    at = _moment(row)
    if target.edited_at is not None and target.edited_at > at:
        return _refuse(change, "edited_later")
    Revision.objects.create(message=target, content=target.content, at=at)
    target.content, target.edited_at, target.text = content, at, text_of(target.type, content)
    target.save(update_fields=["content", "edited_at", "text"])
    return _done(change)


def _revoke(change: Change, target: Message) -> list[Draft]:
    if not _is_authors(change, target):
        if not groups.is_group(target.chat):
            return _refuse(change, "not_the_author")
        who = author_of(change.row)
        admin = groups.may_delete(change.instance.id, target.chat, who.phone, who.lid)
        if admin is None:
            _keep(change)
            return []
        if not admin:
            return _refuse(change, "not_an_admin")
    if target.revoked_at is None:
        target.revoked_at, target.text = _moment(change.row), ""
        target.save(update_fields=["revoked_at", "text"])
    return _done(change)


_APPLY: dict[str, Callable[[Change, Message], list[Draft]]] = {
    "reaction": _reaction,
    "edit": _edit,
    "revoke": _revoke,
    "poll_vote": _vote,
    "event_response": _response,
    "pin": _pin,
}
