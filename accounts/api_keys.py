"""The verbs of API keys. All of them are done by people; what a key looks like stands in keys.py."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any, cast

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts import authentication
from accounts.actor import Actor
from accounts.models import ApiKey
from audit.services import record
from config.api.problems import FieldError, Problem
from config.timestamps import iso

MAX_OVERLAP = timedelta(days=7)
# Asked with an organization's id, a key's mode and ids of instances: which of them a key may be limited to?
# The apps that know instances register here at start-up.
known_instances: list[Callable[[str, str, Collection[str]], set[str]]] = []


@transaction.atomic
def create_key(
    *,
    actor: Actor,
    name: str,
    mode: str,
    scopes: list[str],
    instances: list[str] | None = None,
    allowed_ips: list[str] | None = None,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Create an API key; returns the row and the key, which is shown this once.

    Raises Problem ``permission_denied`` for a scope that the caller lacks, and ``invalid_request`` for an instance
    that is not the organization's or of the other mode.
    """
    if not set(scopes) <= actor.scopes:
        raise Problem("permission_denied", "A key cannot be given more than its creator may do.")
    if instances is not None:
        _check_instances(actor.organization_id, mode, instances)
    return _insert(
        actor,
        name=name,
        mode=mode,
        scopes=sorted(set(scopes)),
        instances=None if instances is None else sorted(set(instances)),
        allowed_ips=allowed_ips,
        expiry_date=expires_at,
    )


def _insert(actor: Actor, **fields: Any) -> tuple[ApiKey, str]:
    created = ApiKey.objects.create_key(organization_id=actor.organization_id, created_by_id=actor.id, **fields)
    row, key = cast(tuple[ApiKey, str], created)
    expires_at = iso(fields.pop("expiry_date"))
    changes = fields | {"expires_at": expires_at}
    record("key:created", organization_id=row.organization_id, subject=row.id, changes=changes)
    return row, key


def _check_instances(organization_id: str, mode: str, instances: Collection[str]) -> None:
    known = set().union(*(handler(organization_id, mode, instances) for handler in known_instances))
    errors = [
        FieldError(f"/instances/{index}", "not_found", "There is no such instance for a key of this mode.")
        for index, instance in enumerate(instances)
        if instance not in known
    ]
    if errors:
        raise Problem("invalid_request", errors[0].detail, errors=errors)


@transaction.atomic
def rename_key(*, key: ApiKey, name: str) -> ApiKey:
    before, key.name = key.name, name
    if before != name:
        ApiKey.objects.filter(pk=key.pk).update(name=name)
        changes = {"name": [before, name]}
        record("key:renamed", organization_id=key.organization_id, subject=key.id, changes=changes)
    return key


@transaction.atomic
def rotate_key(*, actor: Actor, key: ApiKey, overlap: timedelta) -> tuple[ApiKey, str]:
    """Create a key with the same rights; the old one works until the overlap is over.

    The new key expires when the old one would have. Raises Problem ``key_ended`` for one that is revoked or expired.
    """
    now = timezone.now()
    ends = now + overlap
    usable = ApiKey.objects.filter(Q(expiry_date=None) | Q(expiry_date__gt=now), pk=key.pk, revoked=False)
    old = usable.select_for_update(no_key=True).first()
    if old is None:
        raise Problem("key_ended", "A key that is revoked or expired cannot be rotated; create a new one.")
    names = ("name", "mode", "scopes", "instances", "allowed_ips", "expiry_date")
    created = _insert(actor, **{name: getattr(old, name) for name in names})
    expires = ends if old.expiry_date is None else min(ends, old.expiry_date)
    usable.update(expiry_date=expires)
    changes = {"replaced_by": created[0].id, "expires_at": iso(expires)}
    record("key:rotated", organization_id=old.organization_id, subject=old.id, changes=changes)
    transaction.on_commit(authentication.forget)
    return created


@transaction.atomic
def revoke_key(*, key: ApiKey) -> None:
    """End a key at once, on open sockets too. Idempotent."""
    if ApiKey.objects.filter(pk=key.pk, revoked=False).update(revoked=True):
        record("key:revoked", organization_id=key.organization_id, subject=key.id, changes={"name": key.name})
        transaction.on_commit(authentication.forget)
