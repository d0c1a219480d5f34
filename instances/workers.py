"""The session workers as operators see them: what each holds, until when, and what it uses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Prefetch
from django.db.models.functions import Now

from config.timestamps import iso
from instances.models import Instance, Worker
from instances.states import ENDED, Wanted


def overview(network: str | None = None) -> dict[str, Any]:
    """``{"workers": [{…, "numbers": [{…}]}], "unheld": [{…}], "quarantined": [{…}]}``; ages and times left in seconds.

    A worker with ``alive`` false gave no sign of life for a lease; its numbers go to others. ``unheld`` are those that
    should be connected and that nobody holds.
    """
    held = Instance.objects.annotate(now=Now()).order_by("pk")
    workers = Worker.objects.annotate(now=Now()).prefetch_related(Prefetch("held", held)).order_by("network", "pk")
    wanted = Instance.objects.filter(wanted=Wanted.CONNECTED).exclude(state__in=ENDED).annotate(now=Now())
    if network is not None:
        workers, wanted = workers.filter(network=network), wanted.filter(network=network)
    alive = set(Worker.objects.live().values_list("pk", flat=True))
    quarantined = wanted.filter(quarantined_until__gt=Now()).order_by("pk")
    return {
        "workers": [_worker(worker, worker.pk in alive) for worker in workers],
        "unheld": [_number(one) for one in wanted.filter(holder=None).exclude(pk__in=quarantined).order_by("pk")],
        "quarantined": [_number(one) for one in quarantined],
    }


def _worker(worker: Any, alive: bool) -> dict[str, Any]:
    return {
        "id": worker.pk,
        "name": worker.name,
        "network": worker.network,
        "alive": alive,
        "heartbeat_age": _seconds(worker.heartbeat_at, worker.now),
        "age": _seconds(worker.started_at, worker.now),
        "draining_for": _seconds(worker.draining_since, worker.now),
        "capacity": worker.capacity,
        "machine": worker.machine.partition(" ")[0],
        "pid": worker.pid,
        "descriptors": worker.descriptors,
        "store_connections": worker.store_connections,
        "threads": worker.threads,
        "memory_bytes": worker.memory_bytes,
        "cpu": worker.cpu,
        "numbers": [_number(instance) for instance in worker.held.all()],
    }


def _number(instance: Any) -> dict[str, Any]:
    left = _seconds(instance.now, instance.lease_until)
    return {
        "id": instance.pk,
        "organization": instance.organization_id,
        "phone": instance.phone,
        "state": instance.state,
        "reason": instance.reason,
        "epoch": instance.epoch,
        "lease_left": left if instance.holder_id else None,
        "on_probation": instance.probation_since is not None,
        "crashes": instance.crashes,
        "quarantined_until": iso(instance.quarantined_until),
    }


def _seconds(since: datetime | None, until: datetime | None) -> float | None:
    return None if since is None or until is None else round((until - since).total_seconds(), 1)
