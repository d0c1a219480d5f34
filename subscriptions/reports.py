"""What was used: sums of the daily counters."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from django.db.models import Q, Sum
from django.utils import timezone

from accounts.actor import Actor
from config.api.problems import invalid
from subscriptions.models import DailyUsage

DEFAULT_DAYS, MAX_DAYS, MAX_ROWS = 30, 366, 50_000


def _span(first: date | None, last: date | None) -> tuple[date, date]:
    """Raises Problem ``invalid_request``."""
    last = last or timezone.now().date()
    first = first or last - timedelta(days=DEFAULT_DAYS - 1)
    if first > last:
        raise invalid("/from", "range", "The first day is after the last one.")
    if (last - first).days >= MAX_DAYS:
        raise invalid("/from", "range", f"A report covers at most {MAX_DAYS} days.")
    return first, last


def usage_report(
    actor: Actor, *, group: Sequence[str] = ("day",), network: str | None = None, **ends: date
) -> dict[str, Any]:
    """Messages accepted and received on the days ``from`` to ``to`` (UTC, both included; default the last 30 days).

    ``results`` has one row for each combination of the groups (of day, instance, type, network) that counted
    anything, sorted by them; ``total`` sums them up. A key sees its own networks and instances only.
    Raises Problem ``invalid_request`` for a span or a report that is too large.
    """
    first, last = _span(ends.get("from"), ends.get("to"))
    networks = [name for name in actor.networks if network in (None, name)]
    rows = DailyUsage.objects.filter(
        organization_id=actor.organization_id, day__range=(first, last), network__in=networks
    )
    if actor.instances is not None:
        rows = rows.filter(instance__in=actor.instances)
    sums = {side: Sum("count", filter=Q(direction=side), default=0) for side in ("outbound", "inbound")}
    results = list(rows.values(*group).annotate(**sums).order_by(*group)[: MAX_ROWS + 1])
    if len(results) > MAX_ROWS:
        raise invalid("/group", "too_large", f"The report has more than {MAX_ROWS} rows: ask for fewer days or groups.")
    return {
        "from": first.isoformat(),
        "to": last.isoformat(),
        "group": list(group),
        "total": {side: sum(row[side] for row in results) for side in sums},
        "results": [row | {"day": row["day"].isoformat()} if "day" in row else row for row in results],
    }
