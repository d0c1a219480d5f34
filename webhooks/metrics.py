"""What /metrics tells of deliveries, as of now."""

from __future__ import annotations

from django.db.models import Min
from django.utils import timezone

from config import metrics
from config.metrics import Values
from webhooks.models import Delivery

# Deliveries to an endpoint that is switched off wait for nobody.
_open = Delivery.objects.filter(next_attempt_at__isnull=False, endpoint__enabled=True)


def pending() -> Values:
    return {(): float(_open.all().count())}


def overdue_seconds() -> Values:
    """0 when nothing is due yet."""
    oldest = _open.all().aggregate(Min("next_attempt_at"))["next_attempt_at__min"]
    return {(): max(0.0, (timezone.now() - oldest).total_seconds()) if oldest else 0.0}


READINGS = {metrics.DELIVERIES_PENDING: pending, metrics.DELIVERIES_OVERDUE_SECONDS: overdue_seconds}
