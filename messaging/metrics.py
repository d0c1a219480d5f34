"""What /metrics tells of the lanes, as of now."""

from __future__ import annotations

from django.db.models import Min
from django.utils import timezone

from config import metrics
from config.metrics import Values
from messaging.models import Message
from messaging.states import Status


def queued() -> Values:
    return {(): float(Message.objects.filter(status=Status.QUEUED).count())}


def oldest_seconds() -> Values:
    """0 when nothing waits."""
    found = Message.objects.filter(status=Status.QUEUED).aggregate(Min("created_at"))
    oldest = found["created_at__min"]
    return {(): max(0.0, (timezone.now() - oldest).total_seconds()) if oldest else 0.0}


READINGS = {metrics.MESSAGES_QUEUED: queued, metrics.MESSAGES_OLDEST_SECONDS: oldest_seconds}
