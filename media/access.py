"""The only way to a tenant's files. A foreign or broken id is the same 404 as a missing one."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Q, QuerySet

from accounts.actor import Actor
from config.api.problems import Problem
from config.ids import InvalidId, to_uuid
from instances import access as instance_access
from instances.access import check_id
from media.models import Media


def media(actor: Actor) -> QuerySet[Media]:
    """The files the caller sees: of its organization, for a key those of its mode and of the instances it is
    limited to; what people uploaded serves both networks, and what was uploaded belongs to no instance. Not those of
    an instance that was deleted, from that moment on.
    """
    rows = Media.objects.filter(organization_id=actor.organization_id, instance__deleted_at=None)
    if actor.mode is not None:
        rows = rows.filter(Q(network__in=actor.networks) | Q(network=None))
    if actor.instances is not None:
        rows = rows.filter(Q(instance_id__in=actor.instances) | Q(instance=None))
    return rows


def listed(
    actor: Actor, *, status: str | None = None, source: str | None = None, instance: str | None = None
) -> QuerySet[Media]:
    """Raises Problem like `instances.access.instance` for an instance that is not the caller's."""
    rows = media(actor)
    if instance is not None:
        rows = rows.filter(instance=instance_access.instance(actor, instance))
    rows = rows if status is None else rows.filter(status=status)
    return rows if source is None else rows.filter(source=source)


def one(actor: Actor, media_id: str) -> Media:
    """Raises Problem ``not_found``."""
    found = media(actor).filter(pk=check_id(media_id, "med")).first()
    if found is None:
        raise Problem("not_found")
    return found


def many(actor: Actor, media_ids: Iterable[str]) -> dict[str, Media]:
    """Those of the ids that the caller sees; broken ids are passed over."""
    return {row.id: row for row in media(actor).filter(pk__in={text for text in media_ids if _is_id(text)})}


def _is_id(text: str) -> bool:
    try:
        to_uuid(text, "med")
    except InvalidId:
        return False
    return True
