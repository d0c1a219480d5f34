"""Frees what workers held that are gone, and suspects what they were connecting."""

from __future__ import annotations

import os
import socket
from datetime import timedelta
from pathlib import Path

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from instances.holding import suspects
from instances.holding.transactions import bounded
from instances.models import Instance, Worker
from webhooks import events

log = structlog.get_logger(__name__)


def machine() -> str:
    """Where a process id counts: host, boot and process namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        boot = namespace = "unknown"
    return f"{socket.gethostname()} {boot} {namespace}"


def _is_dead(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def settle(network: str, ourselves: Worker | None = None) -> int:
    """Free the numbers of all workers of a network that are gone; returns how many workers were.

    One whose process has ended on this machine need not wait for the end of its leases, and its row goes. One that
    gave no sign of life for a lease loses what it held: it has left the network by itself. Idempotent, and safe beside
    other workers that do the same.
    """
    here = machine()
    silent = Q(heartbeat_at__lte=Now() - timedelta(seconds=settings.LEASE_SECONDS), held__isnull=False)
    candidates = Worker.objects.filter(Q(machine=here) | silent, network=network).distinct()
    if ourselves is not None:
        candidates = candidates.exclude(pk=ourselves.pk)
    gone = 0
    for worker in candidates:
        ended = worker.machine == here and "unknown" not in here and _has_ended(worker, ourselves)
        if ended or worker.machine != here or _is_silent(worker):
            gone += _bury(worker.pk, ended)
    return gone


def _has_ended(worker: Worker, ourselves: Worker | None) -> bool:
    # Before this process has a row of its own, one with its id is that of a process before it.
    return _is_dead(worker.pid) or (ourselves is None and worker.pid == os.getpid())


def _is_silent(worker: Worker) -> bool:
    return not Worker.objects.filter(pk=worker.pk).live().exists()


@transaction.atomic
def _bury(worker_id: str, ended: bool) -> bool:
    bounded()
    found = Worker.objects.select_for_update(skip_locked=True, no_key=True).filter(pk=worker_id).first()
    if found is None:
        return False  # another one is at it
    held = Instance.objects.filter(holder=found)
    if not ended:
        held = held.filter(lease_until__lte=Now())
    rows = list(held.select_for_update(skip_locked=True, no_key=True))
    on_probation = [row for row in rows if row.probation_since is not None]
    drafts = suspects.suspect(on_probation, proven=ended)
    # The lease's end stays, for the sweep that says of the number that it is not connected.
    freed = Instance.objects.filter(pk__in=[row.pk for row in rows])
    freed.update(holder=None, probation_since=None, **({"lease_until": Now()} if ended else {}))
    events.append(drafts)
    if ended or rows:
        log.warning("worker_gone", worker=found.id, node=found.name, ended=ended, numbers=len(rows))
    if ended and not held.exists():  # else some rows were locked by others: the next time
        found.delete()
    return True
