from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone

from accounts.models import SuspensionReason
from config.timestamps import iso
from subscriptions.models import NETWORKS, Meter, Plan, Subscription
from subscriptions.periods import period_at

# Each tells how many numbers an organization (its id) has on each network; apps of higher floors register here.
instance_counters: list[Callable[[str], Mapping[str, int]]] = []

_RATE_CACHE_SECONDS = 10.0  # how long an old plan's rate may still hold in a process
_RATE_CACHE_SIZE = 10_000
_rates: dict[str, tuple[float, int]] = {}


def count_instances(organization_id: str) -> dict[str, int]:
    """How many numbers an organization has on each network."""
    counted = [counter(organization_id) for counter in instance_counters]
    return {network: sum(counts.get(network, 0) for counts in counted) for network in NETWORKS}


def plan_data(plan: Plan) -> dict[str, Any]:
    """The plan as everybody sees it."""
    return {
        "code": plan.code,
        "name": plan.name,
        "instances": plan.instances,
        "messages_per_month": plan.messages_per_month,
        "requests_per_minute": plan.requests_per_minute,
        "message_retention_days": plan.message_retention_days,
    }


def retentions() -> list[tuple[str, int]]:
    """The organizations (ids) whose plan keeps messages for a time only, and for how many days."""
    limited = Subscription.objects.filter(plan__message_retention_days__isnull=False)
    return list(limited.values_list("organization_id", "plan__message_retention_days"))  # type: ignore[arg-type]


def state(subscription: Subscription, now: datetime) -> str:
    """``active``, ``expired``, or ``suspended`` by an operator."""
    if subscription.organization.suspended_reason == SuspensionReason.OPERATOR:
        return "suspended"
    if subscription.expires_at is not None and subscription.expires_at <= now:
        return "expired"
    return "active"


def subscription_data(subscription: Subscription, networks: Iterable[str]) -> dict[str, Any]:
    """The subscription as its organization sees it, with what is used of it on these networks."""
    now, plan = timezone.now(), subscription.plan
    period = period_at(subscription.started_at, now)
    meters = {one.network: one for one in Meter.objects.filter(organization_id=subscription.organization_id)}
    instances = count_instances(subscription.organization_id)
    # A meter moves on with the first message of a month, not with the month.
    used = {name: one.used if one.ends_at > now else 0 for name, one in meters.items()}
    renews_at = iso(period.ends_at)
    return {
        "id": subscription.id,
        "plan": plan_data(plan),
        "state": state(subscription, now),
        "started_at": iso(subscription.started_at),
        "expires_at": iso(subscription.expires_at),
        "period": {"starts_at": iso(period.starts_at), "renews_at": renews_at},
        "messages": {
            name: {"used": used[name], "limit": meters[name].limit, "renews_at": renews_at} for name in networks
        },
        "instances": {name: {"used": instances[name], "limit": plan.instances} for name in networks},
    }


def requests_per_minute(organization_id: str) -> int:
    """What the organization's plan allows, at most ten seconds old."""
    cached, now = _rates.get(organization_id), time.monotonic()
    if cached and now < cached[0]:
        return cached[1]
    rows = Plan.objects.filter(subscriptions__organization_id=organization_id)
    rate = rows.values_list("requests_per_minute", flat=True).first() or 0
    if len(_rates) >= _RATE_CACHE_SIZE:
        _rates.clear()
    _rates[organization_id] = now + _RATE_CACHE_SECONDS, rate
    return rate


def ended(limit: int = 500) -> list[str]:
    """Organizations whose subscription has ended and that are not suspended yet."""
    rows = Subscription.objects.filter(expires_at__lte=timezone.now(), organization__suspended_at=None)
    return list(rows.order_by("expires_at").values_list("organization_id", flat=True)[:limit])
