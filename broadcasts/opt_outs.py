"""Who wants no broadcasts: kept by requests, and by what people write to a number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from accounts.actor import Actor
from accounts.models import Mode
from audit.services import record
from broadcasts.keywords import LONGEST, normalized, shown_words, words_of
from broadcasts.models import Keywords, OptOut
from config.api.problems import Problem, invalid
from config.timestamps import iso
from instances.services import draft
from instances.whatsapp.jids import LID, PHONE, Jid
from messaging.models import Contact, Message
from messaging.selectors import person
from messaging.states import Direction
from webhooks import events


def opt_out_data(row: OptOut) -> dict[str, Any]:
    return {
        "id": row.id,
        "network": row.network,
        "contact": person(row.phone, row.lid),
        "source": row.source,
        "instance": row.instance_id,
        "created_at": iso(row.created_at),
    }


# --- asked --------------------------------------------------------------------------------------


def among(organization_id: str, network: str, addresses: Iterable[Jid]) -> set[Jid]:
    """Those of the addresses that are opted out, also by the other name of the same person. Two or three queries."""
    asked = {jid for jid in addresses if jid.server in (PHONE, LID)}
    others = _other_names(organization_id, network, asked)
    names = [*((jid, str(jid)) for jid in asked), *others]
    rows = OptOut.objects.filter(organization_id=organization_id, network=network)
    found = {
        name for row in rows.filter(any_of(name for _, name in names)) for name in (_jid(row.phone), row.lid) if name
    }
    return {jid for jid, name in names if name in found}


def _jid(phone: str | None) -> str | None:
    return f"{phone}@{PHONE}" if phone else None


def any_of(names: Iterable[str]) -> Q:
    """Rows with one of these JIDs as ``phone`` or ``lid``."""
    every = list(names)
    phones = [name.removesuffix(f"@{PHONE}") for name in every if name.endswith(f"@{PHONE}")]
    return Q(phone__in=phones) | Q(lid__in=[name for name in every if name.endswith(f"@{LID}")])


def _other_names(organization_id: str, network: str, jids: set[Jid]) -> list[tuple[Jid, str]]:
    """The LID of a phone number and the other way round, as far as the numbers of the organization know."""
    known = Contact.objects.filter(instance__organization_id=organization_id, instance__network=network)
    pairs = known.filter(any_of(map(str, jids)), phone__isnull=False, lid__isnull=False).values_list("phone", "lid")
    others: dict[str, set[str]] = defaultdict(set)
    for phone, lid in pairs:
        others[f"{phone}@{PHONE}"].add(str(lid))
        others[str(lid)].add(f"{phone}@{PHONE}")
    return [(jid, other) for jid in jids for other in others[str(jid)]]


# --- by request ---------------------------------------------------------------------------------


@transaction.atomic
def add(*, actor: Actor, to: Jid, network: str | None = None) -> OptOut:
    """Idempotent. The network is by default the real one, or that of a key.

    Raises Problem ``test_key_on_live`` or ``live_key_on_sandbox``, ``permission_denied`` for a key that is limited to
    instances, and ``invalid_request`` for what is nobody's address.
    """
    _check_speaks_for_all(actor)
    if to.server not in (PHONE, LID):
        raise invalid("/to", "invalid_recipient", "Only a person can be opted out.")
    network = network or actor.networks[-1]
    if network not in actor.networks:
        raise Problem("test_key_on_live" if actor.mode == Mode.TEST else "live_key_on_sandbox")
    row, made = _kept(actor.organization_id, network, to.phone, None if to.phone else str(to), source=OptOut.Source.API)
    if made:
        events.append([_told(row, "contact.opted_out")])
        _record(row, "created")
    return row


def _check_speaks_for_all(actor: Actor) -> None:
    if actor.instances is not None:
        raise Problem("permission_denied", "A key that is limited to instances cannot speak for the organization.")


@transaction.atomic
def remove(*, opt_out: OptOut) -> None:
    """Idempotent."""
    if OptOut.objects.filter(pk=opt_out.pk).delete()[0]:
        events.append([_told(opt_out, "contact.opted_in")])
        _record(opt_out, "removed")


def _told(row: OptOut, type_: str) -> events.Draft:
    return events.Draft(row.organization_id, row.instance_id, row.network, type_, opt_out_data(row))


def _record(row: OptOut, verb: str) -> None:
    record(f"opt_out:{verb}", organization_id=row.organization_id, subject=row.id)


def _of(organization_id: str, network: str, phone: str | None, lid: str | None) -> QuerySet[OptOut]:
    names = [name for name in (_jid(phone), lid) if name]
    return OptOut.objects.filter(any_of(names), organization_id=organization_id, network=network)


def _kept(
    organization_id: str, network: str, phone: str | None, lid: str | None, **columns: Any
) -> tuple[OptOut, bool]:
    """The row of a person, and whether it was made now."""
    if (row := _of(organization_id, network, phone, lid).first()) is not None:
        return row, False
    row = OptOut(organization_id=organization_id, network=network, phone=phone, lid=lid, **columns)
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:  # somebody was faster
        return _of(organization_id, network, phone, lid).get(), False
    return row, True


@transaction.atomic
def change_keywords(*, actor: Actor, **changes: list[str]) -> None:
    """Replace the words of the organization to ``stop`` and to ``start``, or one of the two lists.

    Raises Problem ``permission_denied`` for a key that is limited to instances.
    """
    _check_speaks_for_all(actor)
    words = shown_words(actor.organization_id)
    Keywords.objects.update_or_create(
        organization_id=actor.organization_id, defaults=changes, create_defaults=words | changes
    )
    record("keywords:changed", organization_id=actor.organization_id, changes=changes)


# --- by what people write -----------------------------------------------------------------------


def received(rows: Sequence[Message]) -> list[events.Draft]:
    """A handler of received messages: notices the words, in the writer's transaction; returns the events."""
    short = {row.pk: word for row in rows if (word := _word(row))}
    said = [row for row in rows if row.pk in short]
    if not said:
        return []
    words, drafts = words_of({row.organization_id for row in said}), []
    for row in said:
        stop, start = words[row.organization_id]
        if short[row.pk] in stop:
            drafts += _stop(row)
        elif short[row.pk] in start:
            drafts += _start(row)
    return drafts


def _word(row: Message) -> str:
    """What somebody wrote in a chat of two, if it may be one of the words."""
    body = row.content.get("body") if row.type == "text" and isinstance(row.content, dict) else None
    if row.direction != Direction.INBOUND or row.history or not row.chat.endswith((f"@{PHONE}", f"@{LID}")):
        return ""
    return normalized(body) if isinstance(body, str) and len(body) <= LONGEST else ""


def _stop(message: Message) -> list[events.Draft]:
    instance = message.instance
    row, made = _kept(
        instance.organization_id,
        instance.network,
        message.sender_phone,
        message.sender_lid,
        source=OptOut.Source.STOP_WORD,
        instance=instance,
    )
    return [draft(instance, "contact.opted_out", opt_out_data(row))] if made else []


def _start(message: Message) -> list[events.Draft]:
    instance = message.instance
    rows = _of(instance.organization_id, instance.network, message.sender_phone, message.sender_lid)
    drafts = [draft(instance, "contact.opted_in", opt_out_data(row)) for row in rows]
    rows.delete()
    return drafts
