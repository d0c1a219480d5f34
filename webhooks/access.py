"""The only way to a tenant's endpoints and events. A foreign id is the same 404 as a missing or broken one."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from accounts.actor import Actor
from config.api.problems import Problem
from webhooks.models import Delivery, Endpoint


def endpoints(actor: Actor) -> QuerySet[Endpoint]:
    """The endpoints a caller may know of: all of the organization for a person, those of its mode for a key."""
    rows = Endpoint.objects.filter(organization_id=actor.organization_id, deleted_at=None)
    return rows.filter(mode=actor.mode) if actor.mode else rows


def endpoint(actor: Actor, endpoint_id: str) -> Endpoint:
    """Raises Problem ``not_found``."""
    try:
        return endpoints(actor).get(pk=endpoint_id)
    except (Endpoint.DoesNotExist, ValidationError) as error:
        raise Problem("not_found", "There is no such webhook endpoint.") from error


def deliveries(actor: Actor, endpoint_id: str) -> QuerySet[Delivery]:
    """The deliveries of one endpoint with their events and attempts. Raises Problem ``not_found``."""
    rows = Delivery.objects.filter(endpoint=endpoint(actor, endpoint_id))
    return rows.select_related("event").prefetch_related("attempts")
