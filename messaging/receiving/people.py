"""Who is who: a phone number and a LID that belong to one person, and what that person calls itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from django.db.models import Q

from instances.whatsapp.jids import LID, PHONE
from instances.whatsapp.news import Person
from messaging.models import Contact, Message
from messaging.states import Direction

_FEW = 400  # people to look up in one query


class Who(NamedTuple):
    """The author of a message. Both are None for the number's owner."""

    phone: str | None
    lid: str | None


OWNER = Who(None, None)


def author_of(row: Message) -> Who:
    return OWNER if row.direction == Direction.OUTBOUND else Who(row.sender_phone, row.sender_lid)


def same(instance_id: str, one: Who, other: Who) -> bool:
    """Whether two are one person, also when one is known by phone and the other by LID."""
    if OWNER in (one, other):
        return one == other
    if (one.phone and one.phone == other.phone) or (one.lid and one.lid == other.lid):
        return True
    if (one.phone and other.phone) or (one.lid and other.lid):
        return False
    phone, lid = one.phone or other.phone, one.lid or other.lid
    return Contact.objects.filter(instance_id=instance_id, phone=phone, lid=lid).exists()


def same_chat(instance_id: str, one: Message, other: Message) -> bool:
    """Whether two messages are in one chat, by whichever of its JIDs."""
    if {one.chat, one.chat_lid} & {other.chat, other.chat_lid} - {None}:
        return True
    if not all(_is_direct(row.chat) for row in (one, other)):
        return False
    return same(instance_id, _chat_person(one), _chat_person(other))


def _is_direct(chat: str) -> bool:
    return chat.endswith((f"@{PHONE}", f"@{LID}"))


def _chat_person(row: Message) -> Who:
    user, _, server = row.chat.partition("@")
    return Who(user if server == PHONE else None, row.chat_lid or (row.chat if server == LID else None))


def met(people: Iterable[tuple[str, Person]]) -> None:
    """Note the names and pairs of people (instance, person) who wrote; one SELECT, and writes only for what is new."""
    wanted: dict[tuple[str, str | None, str | None], Person] = {}
    for instance_id, one in people:
        if one.lid is None or one.lid.endswith(f"@{LID}"):
            wanted[instance_id, one.phone, one.lid] = one
    left = list(wanted.items())
    while left:
        some, left = left[:_FEW], left[_FEW:]
        _note(some)


def _note(wanted: list[tuple[tuple[str, str | None, str | None], Person]]) -> None:
    phones = {phone for (_, phone, _), _ in wanted if phone}
    lids = {lid for (_, _, lid), _ in wanted if lid}
    rows = list(
        Contact.objects.filter(
            Q(phone__in=phones) | Q(lid__in=lids), instance_id__in={instance_id for (instance_id, _, _), _ in wanted}
        )
    )
    by_phone: dict[tuple[str, str | None], Contact] = {(row.instance_id, row.phone): row for row in rows if row.phone}
    by_lid: dict[tuple[str, str | None], Contact] = {(row.instance_id, row.lid): row for row in rows if row.lid}
    fresh: list[Contact] = []
    for (instance_id, phone, lid), one in wanted:
        row, twin = by_phone.get((instance_id, phone)), by_lid.get((instance_id, lid))
        if row is None and twin is None:
            row = Contact(instance_id=instance_id, phone=phone, lid=lid, name=one.name)
            fresh.append(row)
        else:
            row = _merged(row, twin, phone, lid, one.name, fresh)
        if row.phone:
            by_phone[instance_id, row.phone] = row
        if row.lid:
            by_lid[instance_id, row.lid] = row
    Contact.objects.bulk_create(fresh, ignore_conflicts=True)


def _merged(
    row: Contact | None, twin: Contact | None, phone: str | None, lid: str | None, name: str, fresh: list[Contact]
) -> Contact:
    """The one contact of a person, with what was learned; of two rows the one with the LID alone goes."""
    kept = row or twin
    assert kept is not None
    if row is not None and twin is not None and row is not twin:
        if twin in fresh:
            fresh.remove(twin)
        elif twin.phone is None:
            twin.delete()
        else:  # the LID has gone over to another number
            Contact.objects.filter(pk=twin.pk).update(lid=None)
    before = (kept.phone, kept.lid, kept.name)
    kept.phone, kept.lid, kept.name = phone or kept.phone, lid or kept.lid, name or kept.name
    if (kept.phone, kept.lid, kept.name) != before and kept not in fresh:
        kept.save(update_fields=["phone", "lid", "name"])
    return kept
