"""Whom an instance can write to: who is on WhatsApp, and who has had to do with it before.

Loaded in session workers. What WhatsApp says is kept in Contact: a yes for 30 days, a no for one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import structlog
from django.db import IntegrityError, connection, transaction
from django.db.models import Q
from django.utils import timezone

from instances.holding.attachments import Held
from instances.holding.writer import Handler, Item, Written
from instances.models import Instance
from instances.whatsapp.jids import LID, PHONE
from messaging.contacts.selectors import fresh
from messaging.models import Contact, Message
from messaging.states import Direction, Status

log = structlog.get_logger(__name__)
_ARRIVED = (Status.SENT, Status.DELIVERED, Status.READ, Status.PLAYED)


class Answer(NamedTuple):
    """What WhatsApp said of a phone number."""

    phone: str
    on_whatsapp: bool
    lid: str | None
    business_name: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """Answers of WhatsApp, to be kept."""

    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Met:
    """A first message has reached this chat."""

    chat: str


def is_person(chat: str) -> bool:
    return chat.endswith((f"@{PHONE}", f"@{LID}"))


def phone_of(chat: str) -> str | None:
    return chat.removesuffix(f"@{PHONE}") if chat.endswith(f"@{PHONE}") else None


def met(instance_id: str, chats: Collection[str]) -> set[str]:
    """Those of the chats with people who have written to the instance, or whom one of its messages has reached."""
    said = Q(direction=Direction.INBOUND) | Q(status__in=_ARRIVED)
    rows = Message.objects.filter(said, instance_id=instance_id, chat__in=chats).order_by()
    found = set(rows.values_list("chat", flat=True).distinct())
    if lids := [chat for chat in set(chats) - found if chat.endswith(f"@{LID}")]:
        known = Contact.objects.filter(instance_id=instance_id, lid__in=lids, met_at__isnull=False)
        found |= {str(lid) for lid in known.values_list("lid", flat=True)}
    phones = {phone: chat for chat in set(chats) - found if (phone := phone_of(chat))}
    known = Contact.objects.filter(instance_id=instance_id, phone__in=phones, met_at__isnull=False)
    return found | {phones[str(phone)] for phone in known.values_list("phone", flat=True)}


def absent(held: Held, chats: Iterable[str]) -> set[str]:
    """Those of the chats whose phone number is not on WhatsApp, as far as that is known or WhatsApp tells.

    Asks WhatsApp about all that nobody knows, in one query. Raises SendFailed when it does not answer.
    """
    phones = {phone: chat for chat in chats if (phone := phone_of(chat))}
    if not phones:
        return set()
    known = Contact.objects.filter(fresh(), instance_id=held.instance_id, phone__in=phones)
    verdicts = dict(known.values_list("phone", "on_whatsapp"))
    connection.close()  # the question may take a minute
    if unknown := phones.keys() - verdicts.keys():
        answers = ask(held, sorted(unknown))
        held.write(Checked(answers))
        verdicts |= {answer.phone: answer.on_whatsapp for answer in answers}
    return {chat for phone, chat in phones.items() if verdicts.get(phone) is False}


def ask(held: Held, phones: list[str]) -> tuple[Answer, ...]:
    """What WhatsApp says of phone numbers; it may leave some out. Raises SendFailed."""
    return tuple(
        Answer(phone, False, None)
        if found is None
        else Answer(phone, True, str(found.jid.bare) if found.jid.server == LID else None, found.business_name)
        for phone, found in held.are_on_whatsapp(phones).items()
    )


def look_up(held: Held, phones: list[str]) -> tuple[Answer, ...]:
    """The same, kept when this returns."""
    answers = ask(held, phones)
    held.write(Checked(answers)).result()
    return answers


def keep(instance_id: str, answers: Iterable[Answer]) -> None:
    """Write answers to the contacts of an instance, in the caller's transaction."""
    now = timezone.now()
    for answer in answers:
        values = {"on_whatsapp": answer.on_whatsapp, "checked_at": now, "business_name": answer.business_name}
        mine = Contact.objects.filter(instance_id=instance_id)
        if answer.lid and not mine.filter(phone=answer.phone).exists():
            # Somebody may be known by the LID alone; it is the same person.
            mine.filter(lid=answer.lid, phone__isnull=True).update(phone=answer.phone)
        Contact.objects.update_or_create(instance_id=instance_id, phone=answer.phone, defaults=values)
        if answer.lid:
            try:
                with transaction.atomic():
                    mine.filter(phone=answer.phone, lid__isnull=True).update(lid=answer.lid)
            except IntegrityError:  # two rows for one person; whoever tells us of a message joins them
                log.info("contact_known_twice", instance=instance_id)


def checked(items: list[Item], held: dict[str, Instance]) -> Written:
    for item in items:
        keep(item.instance_id, item.value.answers)
    return Written([None] * len(items), [])


def have_met(items: list[Item], held: dict[str, Instance]) -> Written:
    for item in items:
        chat: str = item.value.chat
        key = {"phone": phone_of(chat)} if phone_of(chat) else {"lid": chat}
        person, made = Contact.objects.get_or_create(
            instance_id=item.instance_id, **key, defaults={"met_at": timezone.now()}
        )
        if not made and person.met_at is None:
            Contact.objects.filter(pk=person.pk).update(met_at=timezone.now())
    return Written([None] * len(items), [])


HANDLERS: dict[type, Handler] = {Checked: checked, Met: have_met}
