"""The only way to a tenant's virtual phones. Live keys have no business here."""

from __future__ import annotations

from django.db.models import QuerySet

from accounts.actor import Actor
from accounts.models import Mode
from config.api.problems import Problem
from instances.whatsapp.jids import InvalidJid, phone_number
from phones.models import VirtualPhone


def phones(actor: Actor) -> QuerySet[VirtualPhone]:
    """Raises Problem ``live_key_on_sandbox``, and ``permission_denied`` for a key that is limited to instances.

    A virtual phone hears from all instances of its organization.
    """
    if actor.instances is not None:
        raise Problem("permission_denied", "A key that is limited to instances cannot use virtual phones.")
    if actor.mode == Mode.LIVE:
        raise Problem("live_key_on_sandbox", "The sandbox is for test keys.")
    return VirtualPhone.objects.filter(organization_id=actor.organization_id)


def phone(actor: Actor, number: str) -> VirtualPhone:
    """Raises Problem ``not_found`` or ``live_key_on_sandbox``."""
    try:
        found = phones(actor).filter(phone=phone_number(number)).first()
    except InvalidJid:
        found = None
    if found is None:
        raise Problem("not_found", "There is no such virtual phone.")
    return found
