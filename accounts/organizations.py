"""What happens to an organization as a whole."""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction
from django.utils import timezone

from accounts.models import Organization
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
    return True


def check_active(*, organization_id: str) -> None:
    """For what must not slip through beside a suspension: call it after taking a lock that a handler above takes too.

    Raises Problem ``organization_suspended``.
    """
    row = Organization.objects.filter(pk=organization_id, suspended_at__isnull=False).first()
    if row is not None:
        raise Problem("organization_suspended", reason=row.suspended_reason, since=iso(row.suspended_at))
