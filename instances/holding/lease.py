"""Which numbers this worker holds. Times are the database's, so that workers' clocks need not agree."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import NamedTuple

import structlog
from django.conf import settings
from django.db import OperationalError, transaction
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Now

from instances.holding import deaths, suspects
from instances.holding.deaths import machine
from instances.holding.load import Load
from instances.holding.transactions import bounded
from instances.models import Instance, Worker
from instances.states import ENDED, FOR_WORKERS

log = structlog.get_logger(__name__)
_LOCK_SECONDS = 0.3


def _lease_end() -> object:
    return Now() + timedelta(seconds=settings.LEASE_SECONDS)


def register(name: str, network: str, queue: str) -> Worker:
    """Write the row of this start, and free what dead processes of this machine still hold.

    A killed worker's numbers need not wait for the end of their lease when its successor can see that
    the process is gone.
    """
    deaths.settle(network)
    return Worker.objects.create(
        name=name, network=network, queue=queue, machine=machine(), pid=os.getpid(), capacity=settings.SESSION_CAPACITY
    )


class Renewal(NamedTuple):
    """The ids of the numbers whose lease was extended, and of those that are not held any more."""

    extended: set[str]
    lost: set[str]


def renew(worker: Worker, held: Iterable[str], load: Load | None = None) -> Renewal:
    """Extend all leases, and beat the heart.

    Rows that somebody has locked are renewed after the others, since writers lock them all the time; one that stays
    locked for long is neither renewed nor lost: it must be tried again soon, or its lease ends.
    """
    ids = set(held)
    with transaction.atomic():
        bounded()
        beat = {"heartbeat_at": Now(), **(load._asdict() if load else {})}
        Worker.objects.filter(pk=worker.pk).update(**beat)
        mine = Instance.objects.filter(holder=worker, pk__in=ids, lease_until__gt=Now())
        locked = mine.order_by("pk").select_for_update(skip_locked=True, no_key=True)
        extended = set(locked.values_list("pk", flat=True))
        Instance.objects.filter(pk__in=extended).update(lease_until=_lease_end())
        lost = ids - set(mine.values_list("pk", flat=True)) if extended < ids else set()
    if late := ids - extended - lost:
        extended |= _renew_locked(worker, late)
    return Renewal(extended, lost)


def _renew_locked(worker: Worker, ids: set[str]) -> set[str]:
    """Extend leases one by one, waiting a moment for the locks of others, and a second for all; returns those that
    were extended.
    """
    extended, until = set(), time.monotonic() + 1.0
    for pk in sorted(ids):
        if time.monotonic() > until:
            break
        try:
            with transaction.atomic():
                bounded(lock_seconds=_LOCK_SECONDS)
                mine = Instance.objects.filter(holder=worker, pk=pk, lease_until__gt=Now())
                if mine.update(lease_until=_lease_end()):
                    extended.add(pk)
        except OperationalError as error:
            log.warning("lease_locked", instance=pk, error=str(error).splitlines()[0])
    return extended


def _free() -> Q:
    return Q(holder=None) | Q(lease_until=None) | Q(lease_until__lte=Now())


def _wanted(network: str) -> QuerySet[Instance]:
    """What should be connected now, if only to be logged out."""
    allowed = Q(quarantined_until=None) | Q(quarantined_until__lte=Now())
    return Instance.objects.filter(allowed, network=network, wanted__in=FOR_WORKERS).exclude(state__in=ENDED)


def shares(workers: Sequence[Worker], wanted: int) -> dict[str, int]:
    """How many of the wanted numbers each worker should hold: as even as their capacities allow, and the same
    whoever asks. What exceeds all capacities is nobody's.
    """
    result = {}
    for place, worker in enumerate(sorted(workers, key=lambda one: (one.capacity, one.pk))):
        fair = -(-wanted // (len(workers) - place))
        result[worker.pk] = min(worker.capacity, fair)
        wanted -= result[worker.pk]
    return result


def share(worker: Worker, *, settled: bool = False) -> int:
    """How many numbers a worker should hold now; none when it is on its way out.

    ``settled``: workers that started less than a lease ago do not count, but for itself.
    """
    taking = Worker.objects.taking().filter(network=worker.network)
    if settled:
        before = Now() - timedelta(seconds=settings.LEASE_SECONDS)
        taking = taking.filter(Q(started_at__lte=before) | Q(pk=worker.pk))
    return shares(list(taking), _wanted(worker.network).count()).get(worker.pk, 0)


def unclaimed(network: str) -> bool:
    """Whether there are numbers that some worker should take."""
    return _wanted(network).filter(_free()).exists()


def claim(
    worker: Worker, held: int, *, on_trial: Sequence[int] = (), but: Collection[str] = (), all_there_is: bool = False
) -> list[Instance]:
    """Take wanted numbers that nobody holds, up to the fair share; the epoch of each goes up by one.

    ``on_trial`` has the crashes of the numbers that the worker holds and that have not passed their probation, see
    suspects.admitted. With ``all_there_is`` the capacity alone is the limit. Rows that somebody else has locked, and
    those in ``but``, are left for the next time.
    """
    room = (worker.capacity if all_there_is else share(worker)) - held
    if room <= 0:
        return []
    free = _wanted(worker.network).filter(_free()).exclude(pk__in=list(but))
    found = free.order_by("-crashes", "pk").values_list("pk", "crashes", "crashed_at")
    ids = suspects.admitted([suspects.Candidate(*row) for row in found], held, on_trial)[:room]
    if not ids:
        return []
    with transaction.atomic():
        bounded()
        locked = free.filter(pk__in=ids).order_by("pk").select_for_update(skip_locked=True, no_key=True)
        taken = Instance.objects.filter(pk__in=list(locked.values_list("pk", flat=True)))
        probation = Case(When(device_jid=None, then=Value(None)), default=Now())
        taken.update(holder=worker, epoch=F("epoch") + 1, lease_until=_lease_end(), probation_since=probation)
        return list(taken.order_by("pk"))


def prove(worker: Worker, online: Collection[str], ended: Collection[str]) -> None:
    """End the probation of numbers of this worker: of those that were online for long enough, who are suspected of
    nothing any more, and of those whose attempt to connect has ended.
    """
    mine = Instance.objects.filter(holder=worker)
    if online:
        mine.filter(pk__in=list(online)).update(probation_since=None, crashes=0)
    if ended:
        mine.filter(pk__in=list(ended)).update(probation_since=None)


def drain(worker: Worker) -> None:
    """Say that this worker takes no more numbers: what it gives away is for the others."""
    Worker.objects.filter(pk=worker.pk).update(draining_since=Now())


def leave(worker: Worker) -> None:
    """Free everything and remove the row of this start."""
    with transaction.atomic():
        Instance.objects.filter(holder=worker).update(holder=None, lease_until=None, probation_since=None)
        worker.delete()
