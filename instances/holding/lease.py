"""Which numbers this worker holds. Times are the database's, so that workers' clocks need not agree."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from instances.models import Instance, Worker
from instances.states import ENDED, Wanted


def _lease_end() -> object:
    return Now() + timedelta(seconds=settings.LEASE_SECONDS)


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


def register(name: str, network: str, queue: str) -> Worker:
    """Write the row of this start, and free what dead processes of this machine still hold.

    A killed worker's numbers need not wait for the end of their lease when its successor can see that
    the process is gone.
    """
    here = machine()
    if "unknown" not in here:
        for old in Worker.objects.filter(machine=here, network=network):
            if old.pid == os.getpid() or _is_dead(old.pid):
                Instance.objects.filter(holder=old).update(lease_until=Now())
                old.delete()
    return Worker.objects.create(
        name=name, network=network, queue=queue, machine=here, pid=os.getpid(), capacity=settings.SESSION_CAPACITY
    )


def renew(worker: Worker, held: Iterable[str]) -> set[str]:
    """Extend all leases in one statement, and beat the heart; returns the ids that are lost."""
    ids = list(held)
    with transaction.atomic():
        Worker.objects.filter(pk=worker.pk).update(heartbeat_at=Now())
        mine = Instance.objects.filter(holder=worker, pk__in=ids, lease_until__gt=Now())
        if mine.update(lease_until=_lease_end()) == len(ids):
            return set()
        return set(ids) - set(mine.values_list("pk", flat=True))


def _free() -> Q:
    return Q(holder=None) | Q(lease_until=None) | Q(lease_until__lte=Now())


def _room(worker: Worker, held: int) -> int:
    """How many more this worker should take: its capacity, and no more than its fair share."""
    workers = max(1, Worker.objects.live().filter(network=worker.network).count())
    wanted = Instance.objects.filter(network=worker.network, wanted=Wanted.CONNECTED).exclude(state__in=ENDED).count()
    return min(worker.capacity, -(-wanted // workers)) - held


def claim(worker: Worker, held: int) -> list[Instance]:
    """Take wanted numbers that nobody holds, each by compare-and-swap; the epoch of each goes up by one."""
    room = _room(worker, held)
    if room <= 0:
        return []
    wanted = Instance.objects.filter(network=worker.network, wanted=Wanted.CONNECTED).exclude(state__in=ENDED)
    claimed = []
    for pk, epoch in wanted.filter(_free()).order_by("pk").values_list("pk", "epoch")[:room]:
        taken = Instance.objects.filter(_free(), pk=pk, epoch=epoch, wanted=Wanted.CONNECTED)
        # No row: another worker was faster.
        if taken.update(holder=worker, epoch=F("epoch") + 1, lease_until=_lease_end()):
            claimed.append(pk)
    return list(Instance.objects.filter(pk__in=claimed, holder=worker))


def leave(worker: Worker) -> None:
    """Free everything and remove the row of this start."""
    with transaction.atomic():
        Instance.objects.filter(holder=worker).update(holder=None, lease_until=None)
        worker.delete()
