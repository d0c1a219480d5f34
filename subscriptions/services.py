from __future__ import annotations

from accounts.models import Organization
from subscriptions.models import Subscription


def subscribe_to_basic(organization: Organization) -> None:
    """Give a new organization its first subscription; runs in the transaction that makes it."""
    Subscription.objects.create(organization=organization, plan_id="basic")
