"""What operators see at a glance: deliveries that wait, and the endpoints they wait for."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Min, OuterRef, Q, Subquery
from django.urls import reverse
from django.utils import timezone

from config.dashboard import CAP, Figure, Panel, Table, Tone, age, capped, figure, label, link, number, panel
from webhooks import states
from webhooks.models import Delivery, Endpoint

_ROWS = 8


def _oldest_due() -> datetime | None:
    """When the delivery that has waited longest was due; one look into an index for each endpoint."""
    due = Delivery.objects.filter(endpoint=OuterRef("pk"), next_attempt_at__lte=timezone.now())
    first = Subquery(due.order_by("next_attempt_at").values("next_attempt_at")[:1])
    found: datetime | None = Endpoint.objects.filter(enabled=True).aggregate(oldest=Min(first))["oldest"]
    return found


@figure(place=50, permission="webhooks.view_delivery")
def deliveries() -> Figure:
    pending = capped(Delivery.objects.filter(next_attempt_at__isnull=False, endpoint__enabled=True))
    oldest = _oldest_due()
    seconds = (timezone.now() - oldest).total_seconds() if oldest else 0
    tone: Tone = "danger" if seconds > 600 else "warning" if seconds > 60 else ""
    url = f"{reverse('admin:webhooks_delivery_changelist')}?state__exact={Delivery.State.PENDING}"
    note = f"the oldest overdue for {age(oldest)}" if seconds >= 1 else "None is overdue"
    return Figure("Open deliveries", number(pending, CAP), note, url, tone)


@panel(place=140, permission="webhooks.view_endpoint", seconds=15, columns=2)
def failing_endpoints() -> Panel:
    """Those of which no attempt succeeds, and those that were disabled for it."""
    given_up = Q(disabled_code__in=(Endpoint.Disabled.GONE, Endpoint.Disabled.FAILING), enabled=False)
    bad = Endpoint.objects.filter(states.QUERIES[states.State.FAILING] | given_up, deleted_at=None)
    found = bad.select_related("organization").defer("secret", "old_secrets", "headers").order_by("enabled", "-id")
    rows = [
        (
            link(endpoint.url.split("://")[-1], reverse("admin:webhooks_endpoint_change", args=(endpoint.pk,))),
            endpoint.organization.name,
            label("disabled", "danger")
            if not endpoint.enabled
            else label(f"failing for {age(endpoint.failing_since)}", "warning"),
        )
        for endpoint in found[:_ROWS]
    ]
    url = reverse("admin:webhooks_endpoint_changelist")
    return Panel(
        "Failing webhooks", Table(("Endpoint", "Organization", "State"), rows, "Every endpoint answers."), url=url
    )
