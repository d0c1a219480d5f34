from __future__ import annotations

from django.utils import timezone

from accounts.models import Organization
from subscriptions.models import NETWORKS, Meter, Plan, Subscription
from subscriptions.periods import period_at
from subscriptions.quota import first_alert


def subscribe_to_basic(organization: Organization) -> None:
    """Give a new organization its first subscription and its meters; runs in the transaction that makes it."""
    # Locked, so that an edit of the plan cannot pass by the new meters.
    plan = Plan.objects.select_for_update(no_key=True).get(pk="basic")
    subscription = Subscription.objects.create(organization=organization, plan=plan, started_at=timezone.now())
    starts_at, ends_at = period_at(subscription.started_at, subscription.started_at)
    limit = plan.messages_per_month
    Meter.objects.bulk_create(
        Meter(
            organization=organization,
            network=network,
            limit=limit,
            starts_at=starts_at,
            ends_at=ends_at,
            alert_at=first_alert(limit),
        )
        for network in NETWORKS
    )
