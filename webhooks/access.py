"""The only way to a tenant's endpoints and events. A foreign id is the same 404 as a missing or broken one."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet

from accounts.actor import Actor
from config.api.problems import Problem
from webhooks.models import Delivery, Endpoint, Replay


def endpoints(actor: Actor) -> QuerySet[Endpoint]:
    """The endpoints a caller may know of: all of the organization for a person, those of its mode for a key.

    A key that is limited to instances knows those that hear of no other instance.
    """
    rows = Endpoint.objects.filter(organization_id=actor.organization_id, deleted_at=None)
    if actor.mode:
        rows = rows.filter(mode=actor.mode)
    if actor.instances is not None:
        listening = rows.exclude(instances=None).values_list("pk", "instances")
        rows = rows.filter(pk__in=[pk for pk, heard in listening if heard and actor.instances.issuperset(heard)])
    return rows


def audible(actor: Actor, instances: list[str] | None) -> list[str] | None:
    """The instances that an endpoint of the caller may hear of when these are wanted (None: all).

    Raises Problem ``permission_denied`` for those that a key is not meant for.
    """
    if actor.instances is None:
        return instances
    if instances is None:
        return sorted(actor.instances)
    if not actor.instances.issuperset(instances):
        raise Problem("permission_denied", "The key is limited to other instances.")
    return instances


def endpoint(actor: Actor, endpoint_id: str) -> Endpoint:
    """Raises Problem ``not_found``."""
    try:
        return endpoints(actor).get(pk=endpoint_id)
    except (Endpoint.DoesNotExist, ValidationError) as error:
        raise Problem("not_found", "There is no such webhook endpoint.") from error


def deliveries(actor: Actor, endpoint_id: str | None = None) -> QuerySet[Delivery]:
    """The deliveries of one endpoint, or of all that the caller may know of, with their events.

    A key that is limited to instances sees those of its instances and tests, also where the endpoint heard of others
    before. Raises Problem ``not_found`` for the endpoint.
    """
    rows = Delivery.objects.select_related("event")
    if endpoint_id is None:
        rows = rows.filter(endpoint__in=endpoints(actor))
    else:
        rows = rows.filter(endpoint=endpoint(actor, endpoint_id))
    if actor.instances is not None:
        test = Q(event__instance_id=None, event__data__test=True)
        rows = rows.filter(test | Q(event__instance_id__in=actor.instances))
    return rows


def delivery(actor: Actor, delivery_id: str, endpoint_id: str | None = None) -> Delivery:
    """One delivery, of this endpoint if one is given. Raises Problem ``not_found``."""
    try:
        return deliveries(actor, endpoint_id).get(pk=delivery_id)
    except (Delivery.DoesNotExist, ValidationError) as error:
        raise Problem("not_found", "There is no such delivery.") from error


def replays(actor: Actor, endpoint_id: str) -> QuerySet[Replay]:
    """The replays to one endpoint. Raises Problem ``not_found``."""
    return Replay.objects.filter(endpoint=endpoint(actor, endpoint_id))


def replay(actor: Actor, endpoint_id: str, replay_id: str) -> Replay:
    """Raises Problem ``not_found``."""
    try:
        return replays(actor, endpoint_id).get(pk=replay_id)
    except (Replay.DoesNotExist, ValidationError) as error:
        raise Problem("not_found", "There is no such replay.") from error
