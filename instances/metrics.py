"""What /metrics tells of numbers and their workers, as of now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import Case, Count, F, Q, When
from django.db.models.functions import Now

from config import metrics
from config.metrics import Values, by_label
from instances.models import Instance, Network, Worker
from instances.states import ENDED, State, Wanted


def by_state() -> Values:
    rows = Instance.objects.order_by().values_list("state").annotate(Count("pk"))
    return {(state,): 0.0 for state in State.values} | dict(by_label(rows))


def workers() -> Values:
    rows = Worker.objects.live().order_by().values_list("network").annotate(Count("pk"))
    return {(network,): 0.0 for network in Network.values} | dict(by_label(rows))


def held() -> Values:
    rows = Instance.objects.filter(lease_until__gt=Now()).order_by().values_list("network").annotate(Count("pk"))
    return {(network,): 0.0 for network in Network.values} | dict(by_label(rows))


def _numbers(**filters: Any) -> Values:
    rows = Instance.objects.filter(**filters).order_by().values_list("network").annotate(Count("pk"))
    return {(network,): 0.0 for network in Network.values} | dict(by_label(rows))


def unheld() -> Values:
    free = Q(holder=None) | Q(lease_until__lte=Now())
    rows = Instance.objects.filter(free, wanted=Wanted.CONNECTED).exclude(state__in=ENDED)
    rows = rows.exclude(quarantined_until__gt=Now())
    counts = rows.order_by().values_list("network").annotate(Count("pk"))
    return {(network,): 0.0 for network in Network.values} | dict(by_label(counts))


def quarantined() -> Values:
    return _numbers(quarantined_until__gt=Now())


def on_probation() -> Values:
    return _numbers(probation_since__isnull=False)


def _of_workers(value: Any) -> Callable[[], Values]:
    """A reading of the workers that give signs of life, by their node's name: a restart keeps it."""

    def read() -> Values:
        rows = Worker.objects.live().order_by("started_at").annotate(value=value).values_list("name", "value")
        return by_label((name, float(found)) for name, found in rows)

    return read


def heartbeats() -> Values:
    rows = Worker.objects.live().order_by("started_at").annotate(now=Now()).values_list("name", "now", "heartbeat_at")
    return by_label((name, max(0.0, (now - at).total_seconds())) for name, now, at in rows)


READINGS = {
    metrics.INSTANCES: by_state,
    metrics.WORKERS: workers,
    metrics.NUMBERS_HELD: held,
    metrics.NUMBERS_UNHELD: unheld,
    metrics.NUMBERS_QUARANTINED: quarantined,
    metrics.NUMBERS_ON_PROBATION: on_probation,
    metrics.WORKER_NUMBERS: _of_workers(Count("held")),
    metrics.WORKER_CAPACITY: _of_workers(F("capacity")),
    metrics.WORKER_HEARTBEAT_SECONDS: heartbeats,
    metrics.WORKER_DRAINING: _of_workers(Case(When(draining_since=None, then=0), default=1)),
    metrics.WORKER_DESCRIPTORS: _of_workers(F("descriptors")),
    metrics.WORKER_STORES: _of_workers(F("store_connections")),
    metrics.WORKER_THREADS: _of_workers(F("threads")),
    metrics.WORKER_MEMORY: _of_workers(F("memory_bytes")),
    metrics.WORKER_CPU: _of_workers(F("cpu")),
}
