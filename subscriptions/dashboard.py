"""What operators see at a glance: who has which plan, and who comes near its limit."""

from __future__ import annotations

from django.db.models import Count, F
from django.urls import reverse
from django.utils import timezone

from config.dashboard import Panel, Share, Shares, Tone, number, panel
from subscriptions.models import Meter, Plan
from subscriptions.quota import PERCENTS

_ROWS = 8


@panel(place=150, permission="subscriptions.view_subscription", seconds=15)
def near_the_limit() -> Panel:
    """The meters of the running month that have reached the first alert, the fullest first."""
    threshold = F("limit") * PERCENTS[0] / 100
    full = Meter.objects.filter(ends_at__gt=timezone.now(), used__gt=0, used__gte=threshold)
    meters = full.select_related("organization__subscription").order_by("-used")[: _ROWS * 4]
    shares = []
    for meter in sorted(meters, key=lambda meter: -meter.used / max(meter.limit, 1))[:_ROWS]:
        percent = min(100.0, 100 * meter.used / max(meter.limit, 1))
        tone: Tone = "danger" if percent >= PERCENTS[1] else "warning"
        address = reverse("admin:subscriptions_subscription_change", args=(meter.organization.subscription.pk,))
        name = f"{meter.organization} ({meter.network})"
        shares.append(Share(name, f"{meter.used:,} of {meter.limit:,}", percent, tone, address))
    empty = f"Nobody has used {PERCENTS[0]} % of a month's messages."
    return Panel("Usage near the limit", Shares(shares, empty), "messages of this billing month")


@panel(place=160, permission="subscriptions.view_plan", seconds=15)
def plans() -> Panel:
    rows = list(Plan.objects.annotate(count=Count("subscriptions")).order_by("position", "code"))
    total = max(1, sum(plan.count for plan in rows))
    address = reverse("admin:subscriptions_subscription_changelist")
    shares = [
        Share(plan.name, number(plan.count), 100 * plan.count / total, "info", f"{address}?plan__code__exact={plan.pk}")
        for plan in rows
    ]
    return Panel("Plans", Shares(shares, "There is no plan."), "organizations on each")
