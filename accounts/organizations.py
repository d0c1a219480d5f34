"""What happens to an organization as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts import authentication
from accounts.actor import Actor
from accounts.models import Membership, Organization, Role
from audit.services import record
from config.api.problems import Problem
from config.timestamps import iso

# Called inside the transaction; apps of higher floors register here at start-up.
organization_suspended: list[Callable[[Organization], None]] = []
organization_resumed: list[Callable[[Organization], None]] = []


@transaction.atomic
def suspend(*, organization: Organization, reason: str) -> bool:
    """Let the organization only be read; ``reason`` is a SuspensionReason. True if it was not suspended before.

    A suspension that is under way keeps its reason and its time.
    """
    now = timezone.now()
    active = Organization.objects.filter(pk=organization.pk, suspended_at=None)
    if not active.update(suspended_at=now, suspended_reason=reason):
        return False
    organization.suspended_at, organization.suspended_reason = now, reason
    for handler in organization_suspended:
        handler(organization)
    _record(organization, "suspended", {"reason": reason})
    return True


@transaction.atomic
def resume(*, organization: Organization) -> bool:
    """End the suspension, whatever its reason. True if the organization was suspended."""
    suspended = Organization.objects.filter(pk=organization.pk, suspended_at__isnull=False)
    if not suspended.update(suspended_at=None, suspended_reason=None):
        return False
    organization.suspended_at = organization.suspended_reason = None
    for handler in organization_resumed:
        handler(organization)
    _record(organization, "resumed")
    return True


@transaction.atomic
def rename(*, organization: Organization, name: str) -> Organization:
    before, organization.name = organization.name, name
    if before != name:
        Organization.objects.filter(pk=organization.pk).update(name=name)
        _record(organization, "renamed", {"name": [before, name]})
    return organization


@transaction.atomic
def transfer(*, actor: Actor, member: Membership) -> None:
    """Make another member the owner, and the owner who gives it away an admin.

    Raises Problem ``permission_denied`` unless the caller still is an owner, and ``not_found`` for who has left.
    """
    members = locked_members(actor.organization_id)
    giver = next((m for m in members if m.user_id == actor.id), None)
    taker = next((m for m in members if m.id == member.id), None)
    if taker is None:
        raise Problem("not_found", "There is no such member.")
    if giver is None or giver.role != Role.OWNER:
        raise Problem("permission_denied", "Only an owner can give the organization away.")
    if taker.id == giver.id:
        raise Problem("permission_denied", "The organization is yours already.")
    Membership.objects.filter(pk=taker.pk).update(role=Role.OWNER)
    Membership.objects.filter(pk=giver.pk).update(role=Role.ADMIN)
    changes = {"from": giver.user_id, "to": taker.user_id}
    record("organization:transferred", organization_id=actor.organization_id, subject=taker.id, changes=changes)
    transaction.on_commit(authentication.forget)


def locked_members(organization_id: str) -> list[Membership]:
    """All members; nobody else changes who they are or what they may until the transaction ends.

    The lock is on the organization's row, so that it also holds back those who join.
    """
    Organization.objects.select_for_update(no_key=True).get(pk=organization_id)
    return list(Membership.objects.filter(organization_id=organization_id).select_related("user"))


def _record(organization: Organization, verb: str, changes: dict[str, Any] | None = None) -> None:
    record(f"organization:{verb}", organization_id=organization.pk, subject=organization.pk, changes=changes)
    transaction.on_commit(authentication.forget)


def check_active(*, organization_id: str) -> None:
    """For what must not slip through beside a suspension: call it after taking a lock that a handler above takes too.

    Raises Problem ``organization_suspended``.
    """
    row = Organization.objects.filter(pk=organization_id, suspended_at__isnull=False).first()
    if row is not None:
        raise Problem("organization_suspended", reason=row.suspended_reason, since=iso(row.suspended_at))
