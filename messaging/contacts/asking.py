"""What WhatsApp tells of people when it is asked: over the number's live connection, by the worker that holds it.

All of it raises Problem like ``instances.commands.call``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.utils import timezone

from config.api.problems import Problem
from instances import commands
from instances.models import Instance
from instances.whatsapp.jids import PHONE, InvalidJid, InvalidPhoneNumber, Jid, parse, possible_number
from messaging.contacts.presence import presence_data
from messaging.contacts.selectors import Somebody, contact_data, fresh, somebody
from messaging.models import Contact
from messaging.selectors import person

MOST_NUMBERS = 100  # WhatsApp is wary of who asks for many


def check(*, instance: Instance, phones: Sequence[str], again: bool = False) -> list[dict[str, Any]]:
    """Whether phone numbers are on WhatsApp: an answer for each, in order, or why it has none (``error``).

    A yes is believed for 30 days and a no for one; only what is not known, or everything if ``again``, is asked for.
    """
    read = [_read(text) for text in phones]
    numbers = {one for one in read if isinstance(one, str)}
    known = {} if again else _known(instance, numbers)
    if unknown := sorted(numbers - known.keys()):
        answers = commands.call(instance, "check_numbers", {"phones": unknown})
        known |= {answer["phone"]: _answer(**answer) for answer in answers}
    silent = {"code": "no_answer", "detail": "WhatsApp said nothing of this number."}
    nothing = dict.fromkeys(("exists", "jid", "lid", "business_name"))
    results = []
    for text, one in zip(phones, read, strict=True):
        found = known.get(one, {"error": silent}) if isinstance(one, str) else {"error": one}
        phone = one if isinstance(one, str) else None
        results.append({"input": text, "phone": phone, **nothing, "error": None, **found})
    return results


def _read(text: str) -> str | dict[str, str]:
    try:
        return possible_number(text)
    except InvalidPhoneNumber as error:
        return {"code": "invalid_phone_number", "detail": str(error)}
    except InvalidJid as error:
        return {"code": "invalid", "detail": str(error)}


def _known(instance: Instance, numbers: set[str]) -> dict[str, dict[str, Any]]:
    rows = Contact.objects.filter(fresh(), instance=instance, phone__in=numbers)
    return {str(row.phone): _answer(str(row.phone), row.on_whatsapp, row.lid, row.business_name) for row in rows}


def _answer(phone: str, on_whatsapp: bool | None, lid: str | None, business_name: str) -> dict[str, Any]:
    if not on_whatsapp:
        return {"exists": False}
    return {"exists": True, "jid": f"{phone}@{PHONE}", "lid": lid, "business_name": business_name or None}


def info(who: Somebody) -> dict[str, Any]:
    """What is known of somebody, and what they show to the number. Raises Problem ``not_on_whatsapp``."""
    found = commands.call(who.instance, "contact_info", {"jid": who.jids[0]})
    known = who.contacts.first() or Contact(phone=who.phone, lid=who.lid)
    known.lid, known.business_name = known.lid or found["lid"], found["business_name"] or known.business_name
    more = {"about": found["about"] or None, "picture_id": found["picture_id"] or None, "devices": found["devices"]}
    return contact_data(known) | {"on_whatsapp": True} | more


def picture(who: Somebody, *, preview: bool) -> dict[str, Any]:
    """``{id, url}`` of somebody's profile picture. Raises Problem ``not_found`` if there is none, or it is hidden."""
    found = commands.call(who.instance, "contact_picture", {"jid": _best(who), "preview": preview})
    if found is None:
        raise Problem("not_found", "There is no picture, or it is not shown to this number.")
    return dict(found)


def presence(who: Somebody) -> dict[str, Any]:
    """Have WhatsApp tell from now on when somebody comes and goes; the answer is the last that is known."""
    if not who.contacts.exists():  # else what is told of them would be passed over
        Contact.objects.bulk_create(
            [Contact(instance=who.instance, phone=who.phone, lid=who.lid)], ignore_conflicts=True
        )
    heard = commands.call(who.instance, "contact_presence", {"jids": [_best(who), *who.jids]})
    known = who.contacts.first() or Contact(phone=who.phone, lid=who.lid)
    if heard is not None:  # it may not be written yet
        known.available, known.presence_at = heard["available"], timezone.now()
        seen = heard["last_seen"]
        known.last_seen_at = datetime.fromtimestamp(seen, UTC) if seen else known.last_seen_at
    return presence_data(known)


def resolve(*, instance: Instance, link: str) -> dict[str, Any]:
    """Whom a contact link leads to. Raises Problem ``not_found``."""
    found = commands.call(instance, "resolve_link", {"link": link})
    if found is None:
        raise Problem("not_found", "The link leads to nobody, or was revoked.")
    who = somebody(instance, parse(found["jid"]))
    return person(who.phone, who.lid, found["name"])


def _best(who: Somebody) -> str:
    """The LID if it is known: WhatsApp is about to know people by it alone."""
    return str(who.lid or Jid(str(who.phone)))
