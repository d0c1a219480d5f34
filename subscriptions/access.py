"""The only way to a tenant's subscription."""

from __future__ import annotations

from accounts.actor import Actor
from subscriptions.models import Subscription


def subscription(actor: Actor) -> Subscription:
    """The caller's subscription, with its plan and organization."""
    return Subscription.objects.select_related("plan", "organization").get(organization_id=actor.organization_id)
