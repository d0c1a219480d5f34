"""The only way to a tenant's templates, broadcasts and opt-outs. A foreign id is the same 404 as a missing one."""

from __future__ import annotations

from typing import TypeVar

from django.db.models import Exists, Model, OuterRef, QuerySet

from accounts.actor import Actor
from broadcasts.models import Broadcast, OptOut, Recipient, Sender, Template
from config.api.problems import Problem
from instances.access import check_id

M = TypeVar("M", bound=Model)


def _one(rows: QuerySet[M], id_: str, prefix: str, name: str) -> M:
    """Raises Problem ``not_found``."""
    found = rows.filter(pk=check_id(id_, prefix)).first()
    if found is None:
        raise Problem("not_found", f"There is no such {name}.")
    return found


def templates(actor: Actor) -> QuerySet[Template]:
    """All of the organization: a template belongs to no network."""
    return Template.objects.filter(organization_id=actor.organization_id)


def template(actor: Actor, template_id: str) -> Template:
    """Raises Problem ``not_found``."""
    return _one(templates(actor), template_id, "tpl", "template")


def broadcasts(actor: Actor) -> QuerySet[Broadcast]:
    """Those of the organization; for a key of its mode, and none that uses an instance the key is not meant for."""
    rows = Broadcast.objects.filter(organization_id=actor.organization_id, network__in=actor.networks)
    if actor.instances is not None:
        of_others = Sender.objects.filter(broadcast=OuterRef("pk")).exclude(instance_id__in=actor.instances)
        rows = rows.filter(~Exists(of_others))
    return rows


def broadcast(actor: Actor, broadcast_id: str) -> Broadcast:
    """Raises Problem ``not_found``."""
    return _one(broadcasts(actor), broadcast_id, "bct", "broadcast")


def recipients(actor: Actor, broadcast_id: str) -> QuerySet[Recipient]:
    """The recipients of one broadcast with their messages. Raises Problem ``not_found``."""
    return Recipient.objects.filter(broadcast=broadcast(actor, broadcast_id)).select_related("message")


def opt_outs(actor: Actor) -> QuerySet[OptOut]:
    """Those of the organization on the caller's networks; for a limited key those that its instances heard of."""
    rows = OptOut.objects.filter(organization_id=actor.organization_id, network__in=actor.networks)
    return rows if actor.instances is None else rows.filter(instance_id__in=actor.instances)


def opt_out(actor: Actor, opt_out_id: str) -> OptOut:
    """Raises Problem ``not_found``."""
    return _one(opt_outs(actor), opt_out_id, "opt", "opt-out")
