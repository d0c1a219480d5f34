"""Writes receipts: handlers of the session worker's writer.

A group of receipts costs one SELECT and one UPDATE of messages, however many they are for. A message to
many is delivered, read or played when it is so for all members, as WhatsApp itself shows it; how far it has
come with each of them stands in MemberReceipt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Count, Max, Min

from config import bulk
from config.timestamps import iso
from instances.holding.writer import Item, Written
from instances.models import Instance
from instances.services import draft
from instances.whatsapp.news import Person, Receipt
from messaging.chats.reading import ReadUpTo, read_up_to
from messaging.models import EarlyReceipt, MemberReceipt, Message
from messaging.progress import Progress, take_early
from messaging.receiving import groups
from messaging.selectors import chat, person
from messaging.states import Direction, Status
from webhooks.events import Draft

_TIMES = {"delivered": "delivered_at", "read": "read_at", "played": "played_at"}
_IMPLIED = {"delivered": ("delivered",), "read": ("delivered", "read"), "played": ("delivered", "read", "played")}


class _News(NamedTuple):
    """A receipt for one message."""

    message: Message
    instance: Instance
    kind: str
    at: datetime
    member: Person | None


def receipts(items: list[Item], held: dict[str, Instance]) -> Written:
    known = _known(items)
    news: list[_News] = []
    early: list[EarlyReceipt] = []
    for item in items:
        receipt: Receipt = item.value
        for wa_id in receipt.wa_ids:
            if message := known.get((item.instance_id, wa_id)):
                news.append(_News(message, held[item.instance_id], receipt.kind, receipt.at, receipt.member))
            else:
                early.append(_early(item.instance_id, wa_id, receipt))
    if early:
        EarlyReceipt.objects.bulk_create(early)
    return Written([None] * len(items), _apply(news))


def came_early(rows: Iterable[tuple[Message, Instance]]) -> list[Draft]:
    """Apply the receipts that came before the WhatsApp ids of these outbound messages were known."""
    arrived: dict[tuple[str, str | None], tuple[Message, Instance]] = {
        (instance.id, row.wa_id): (row, instance) for row, instance in rows if row.wa_id
    }
    news = [
        _News(*arrived[key], one.kind, one.at, Person(one.phone, one.lid) if one.phone or one.lid else None)
        for key, waiting in take_early(arrived).items()
        for one in waiting
    ]
    return _apply(news)


def _known(items: Iterable[Item]) -> dict[tuple[str, str], Message]:
    wanted = {(item.instance_id, wa_id) for item in items for wa_id in item.value.wa_ids}
    rows = Message.objects.filter(
        instance_id__in={instance_id for instance_id, _ in wanted},
        wa_id__in={wa_id for _, wa_id in wanted},
        direction=Direction.OUTBOUND,
    )
    return {(row.instance_id, row.wa_id or ""): row for row in rows}


def _early(instance_id: str, wa_id: str, receipt: Receipt) -> EarlyReceipt:
    member = receipt.member
    return EarlyReceipt(
        instance_id=instance_id,
        wa_id=wa_id,
        kind=receipt.kind,
        at=receipt.at,
        phone=member.phone if member else None,
        lid=member.lid if member else None,
    )


def _apply(news: Sequence[_News]) -> list[Draft]:
    progress, drafts = Progress(), []
    of_members = [one for one in news if one.member is not None]
    for one in news:
        if one.member is None:
            drafts += progress.advance(one.message, one.kind, one.at, one.instance)
    if of_members:
        drafts += _apply_to_many(of_members, progress)
    progress.save()
    return drafts


# --- messages to many -------------------------------------------------------------------------


def _member_of(person: Person) -> str:
    return person.lid or person.jid


def _apply_to_many(news: Sequence[_News], progress: Progress) -> list[Draft]:
    messages = {one.message.pk: one for one in news}
    members = {_member_of(one.member) for one in news if one.member}
    rows = MemberReceipt.objects.filter(message_id__in=messages, member__in=members)
    kept = {(row.message_id, row.member): row for row in rows}
    before = set(kept)
    changed: dict[tuple[str, str], MemberReceipt] = {}
    told: list[tuple[_News, MemberReceipt]] = []
    for one in news:
        assert one.member is not None
        key = one.message.pk, _member_of(one.member)
        row = kept.setdefault(
            key, MemberReceipt(message=one.message, member=key[1], phone=one.member.phone, lid=one.member.lid)
        )
        if getattr(row, _TIMES[one.kind]) is None:
            for kind in _IMPLIED[one.kind]:
                setattr(row, _TIMES[kind], getattr(row, _TIMES[kind]) or one.at)
            changed[key] = row
            told.append((one, row))
    MemberReceipt.objects.bulk_create([row for key, row in changed.items() if key not in before])
    old = [row for key, row in changed.items() if key in before]
    bulk.update(
        MemberReceipt, list(_TIMES.values()), [(row.pk, *(getattr(row, n) for n in _TIMES.values())) for row in old]
    )
    drafts = [_told(one, row) for one, row in told]
    return drafts + complete([(one.message, one.instance) for one in messages.values()], progress)


def _told(one: _News, row: MemberReceipt) -> Draft:
    data = {
        "message_id": one.message.pk,
        "wa_id": one.message.wa_id,
        "client_ref": one.message.client_ref,
        "chat": chat(one.message),
        "member": person(row.phone, row.lid),
        "status": one.kind,
        "at": iso(one.at),
    }
    return draft(one.instance, "message.receipt", data)


def complete(rows: Sequence[tuple[Message, Instance]], progress: Progress) -> list[Draft]:
    """Move messages to groups as far as all members have come. Groups that are not known are asked for."""
    sizes = groups.sizes({(instance.id, row.chat) for row, instance in rows})
    of_members = MemberReceipt.objects.filter(message_id__in=[row.pk for row, _ in rows]).values("message_id")
    found = of_members.annotate(
        first=Min("delivered_at"),
        **{kind: Count(column) for kind, column in _TIMES.items()},
        **{f"{kind}_last": Max(column) for kind, column in _TIMES.items()},
    )
    counts: dict[str, dict[str, Any]] = {one["message_id"]: dict(one) for one in found}
    drafts: list[Draft] = []
    for row, instance in rows:
        count, size = counts.get(row.pk), sizes.get((instance.id, row.chat))
        if count is None:
            continue
        if row.status == Status.UNCONFIRMED:
            drafts += progress.advance(row, Status.SENT, count["first"], instance)
        for kind in _TIMES:
            if size is not None and count[kind] >= max(1, size - 1):
                drafts += progress.advance(row, kind, count[f"{kind}_last"], instance)
    return drafts


def read_on_phone(items: list[Item], held: dict[str, Instance]) -> Written:
    """What the number's owner read on another device is a read mark of the chat up to the newest of it."""
    marks = []
    for item in items:
        received = Message.objects.filter(
            instance_id=item.instance_id, wa_id__in=item.value.wa_ids, direction=Direction.INBOUND
        )
        if row := received.order_by("-pk").first():
            marks.append(item._replace(value=ReadUpTo(row.chat, row.pk, item.value.at)))
    read_up_to(marks, held)
    return Written([None] * len(items), [])
