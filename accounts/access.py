"""The only way to a tenant's keys and people. A foreign id is the same 404 as a missing one."""

from __future__ import annotations

from django.db.models import QuerySet

from accounts.actor import Actor
from accounts.models import ApiKey


def keys(actor: Actor) -> QuerySet[ApiKey]:
    return ApiKey.objects.filter(organization_id=actor.organization_id)
