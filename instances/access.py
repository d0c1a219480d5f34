"""The only way to a tenant's instances. A foreign or broken id is the same 404 as a missing one."""

from __future__ import annotations

from django.db.models import QuerySet

from accounts.actor import Actor
from accounts.models import Mode
from config.api.problems import Problem
from config.ids import InvalidId, to_uuid
from instances.models import Instance


def check_id(text: object, prefix: str) -> str:
    """The id itself. Raises Problem ``not_found`` unless it has the form of an id."""
    try:
        to_uuid(text, prefix)  # type: ignore[arg-type]
    except InvalidId as error:
        raise Problem("not_found") from error
    return str(text)


def instances(actor: Actor) -> QuerySet[Instance]:
    """The instances the caller sees: of its organization, for a key of its mode and those it is limited to."""
    rows = Instance.objects.present().filter(organization_id=actor.organization_id, network__in=actor.networks)
    return rows if actor.instances is None else rows.filter(pk__in=actor.instances)


def instance(actor: Actor, instance_id: str) -> Instance:
    """One instance of the caller's organization, with its holder.

    Raises Problem ``not_found``, ``test_key_on_live`` or ``live_key_on_sandbox``.
    """
    query = Instance.objects.present().filter(organization_id=actor.organization_id).select_related("holder")
    return admitted(actor, query.filter(pk=check_id(instance_id, "ins")).first())


def admitted(actor: Actor, found: Instance | None) -> Instance:
    """The instance if the caller may touch it; the same door for rows that were read together with others'.

    Raises Problem like `instance`.
    """
    if found is None or found.organization_id != actor.organization_id or not actor.reaches(found.id):
        raise Problem("not_found")
    if found.network not in actor.networks:
        raise Problem("test_key_on_live" if actor.mode == Mode.TEST else "live_key_on_sandbox")
    return found
