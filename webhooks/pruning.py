"""Drops what is kept no longer: events with their deliveries, deleted endpoints, counters of deleted instances.

Each step is a transaction of its own and looks up what to do, so a process that dies in between leaves nothing
half done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from config.ids import first_id
from webhooks.models import Counter, Delivery, Endpoint, Event

# Transactions that began before the deletion may still add deliveries.
_KEEP_DELETED = timedelta(hours=1)
_STEP = 500  # rows of the table that a step begins with
_SECONDS = 30

# Higher floors put here what says which of some instances there are. Without any, no counter is dropped.
existing: list[Callable[[Collection[str]], Collection[str]]] = []


def oldest_kept() -> str:
    """Events whose ids sort before this one are kept no longer: ids begin with their time."""
    return first_id(timezone.now() - timedelta(days=settings.EVENTS_KEEP_DAYS), "evt")


def prune() -> bool:
    """Delete events older than EVENTS_KEEP_DAYS, deleted endpoints, and counters of which nothing is left, in small
    steps; True if there is more.
    """
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        if not (_drop_deliveries() or _drop_events() or _drop_endpoint() or _drop_counters()):
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


@transaction.atomic
def _drop_counters() -> int:
    """Those of instances that are gone, when what was pruned has been told as skipped for EVENTS_KEEP_DAYS.

    A cursor that still names such a stream stays good, and nothing is behind it.
    """
    silent = timezone.now() - 2 * timedelta(days=settings.EVENTS_KEEP_DAYS)
    empty = Counter.objects.filter(pruned__gte=F("value"), clock__lt=int(silent.timestamp()) * 1_000_000)
    rows = empty.filter(instance_id__isnull=False).values_list("instance_id", "stream")
    streams = {str(instance_id): stream for instance_id, stream in rows}
    gone = set(streams) if existing else set()
    for there in existing:
        gone -= set(there(gone))
    # Locked as appends lock them, and looked at again: an event that came meanwhile keeps its counter.
    some = empty.filter(pk__in=sorted(streams[instance_id] for instance_id in gone)[:_STEP]).order_by("pk")
    dropped = list(some.select_for_update().values_list("pk", flat=True))
    return Counter.objects.filter(pk__in=dropped).delete()[0]
