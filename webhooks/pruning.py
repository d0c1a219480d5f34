"""Drops what is kept no longer: events with their deliveries, and deleted endpoints.

Each step is a transaction of its own and looks up what to do, so a process that dies in between leaves nothing
half done.
"""

from __future__ import annotations

import time
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from config.ids import first_id
from webhooks.models import Counter, Delivery, Endpoint, Event

# Transactions that began before the deletion may still add deliveries.
_KEEP_DELETED = timedelta(hours=1)
_STEP = 500  # rows of the table that a step begins with
_SECONDS = 30


def oldest_kept() -> str:
    """Events whose ids sort before this one are kept no longer: ids begin with their time."""
    return first_id(timezone.now() - timedelta(days=settings.EVENTS_KEEP_DAYS), "evt")


def prune() -> bool:
    """Delete events older than EVENTS_KEEP_DAYS, and deleted endpoints, in small steps; True if there is more."""
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        if not (_drop_deliveries() or _drop_events() or _drop_endpoint()):
            return False
    return True


@transaction.atomic
def _drop_deliveries() -> int:
    """Some of old events, before these go: an event has as many as there are endpoints."""
    return _drop(Delivery.objects.filter(event_id__lt=oldest_kept()).order_by("event_id"))


def _drop(deliveries: QuerySet[Delivery]) -> int:
    # Locked, so that what a worker adds meanwhile is seen and goes too.
    few = list(deliveries.select_for_update().values_list("pk", flat=True)[:_STEP])
    return Delivery.objects.filter(pk__in=few).delete()[0]


@transaction.atomic
def _drop_events() -> int:
    """The oldest events; notes in the counters how far each stream is gone."""
    old = Event.objects.select_for_update().filter(pk__lt=oldest_kept()).order_by("pk")
    events = list(old.defer("data")[:_STEP])
    Event.objects.filter(pk__in=[event.pk for event in events]).only("pk").delete()
    gone: dict[UUID, int] = {}
    for event in events:
        gone[event.stream] = max(event.sequence, gone.get(event.stream, 0))
    # Last, since appends wait for these rows, and in the order in which appends take them.
    for stream, sequence in sorted(gone.items()):
        Counter.objects.filter(pk=stream, pruned__lt=sequence).update(pruned=sequence)
    return len(events)


@transaction.atomic
def _drop_endpoint() -> int:
    """One that was deleted, and before it some of its deliveries."""
    for endpoint in Endpoint.objects.filter(deleted_at__lt=timezone.now() - _KEEP_DELETED)[:1]:
        return _drop(endpoint.deliveries.order_by("pk")) or endpoint.delete()[0]
    return 0
