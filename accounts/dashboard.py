"""What operators see at a glance: how many tenants there are."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Count, Q
from django.urls import reverse
from django.utils import timezone

from accounts.models import Organization
from config.dashboard import Figure, figure, number

_NEW = timedelta(days=7)


@figure(place=10, permission="accounts.view_organization")
def organizations() -> Figure:
    counts = Organization.objects.aggregate(
        active=Count("pk", Q(suspended_at=None)),
        suspended=Count("pk", Q(suspended_at__isnull=False)),
        new=Count("pk", Q(created_at__gt=timezone.now() - _NEW)),
    )
    note = f"{counts['new']:,} new this week; {counts['suspended']:,} suspended"
    return Figure("Organizations", number(counts["active"]), note, reverse("admin:accounts_organization_changelist"))
