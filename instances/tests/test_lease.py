from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from conftest import Person
from instances.holding import lease
from instances.models import Instance, Worker
from instances.states import ENDED

MakeInstance = Callable[..., Instance]
MakeWorker = Callable[..., Worker]


pytestmark = pytest.mark.every_case


def expire(instance: Instance) -> None:
    Instance.objects.filter(pk=instance.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def silence(worker: Worker) -> None:
    """It gave no sign of life for a minute."""
    Worker.objects.filter(pk=worker.pk).update(heartbeat_at=timezone.now() - timedelta(minutes=1))


def ids(instances: list[Instance]) -> set[str]:
    return {instance.id for instance in instances}


@pytest.mark.django_db
def test_a_worker_claims_what_is_wanted_in_a_new_epoch(instance: Instance, worker: Worker, settings: Settings) -> None:
    (claimed,) = lease.claim(worker, 0)
    assert (claimed.id, claimed.holder_id, claimed.epoch) == (instance.id, worker.id, 1)
    left = claimed.lease_until - timezone.now()  # type: ignore[operator]
    assert timedelta(seconds=settings.LEASE_SECONDS - 2) < left <= timedelta(seconds=settings.LEASE_SECONDS)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "columns", [{"wanted": "stopped"}, {"network": "whatsapp"}, *({"state": state} for state in sorted(ENDED))]
)
def test_a_worker_leaves_alone_what_is_not_for_it(
    alice: Person, make_instance: MakeInstance, worker: Worker, columns: dict[str, str]
) -> None:
    make_instance(alice, **columns)
    assert lease.claim(worker, 0) == []


@pytest.mark.django_db
def test_a_held_number_is_not_stolen(instance: Instance, worker: Worker, make_worker: MakeWorker) -> None:
    lease.claim(worker, 0)
    assert lease.claim(make_worker(), 0) == []
    assert lease.claim(worker, 1) == []
    assert Instance.objects.get().epoch == 1


@pytest.mark.django_db
def test_a_number_whose_lease_has_ended_is_taken_in_the_next_epoch(
    instance: Instance, worker: Worker, make_worker: MakeWorker
) -> None:
    lease.claim(worker, 0)
    expire(instance)
    silence(worker)
    second = make_worker()
    (taken,) = lease.claim(second, 0)
    assert (taken.holder_id, taken.epoch) == (second.id, 2)


@pytest.mark.django_db
def test_renewing_extends_the_leases_and_beats_the_heart(instance: Instance, worker: Worker) -> None:
    lease.claim(worker, 0)
    Instance.objects.update(lease_until=timezone.now() + timedelta(seconds=1))
    Worker.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=1))
    assert lease.renew(worker, [instance.id]) == ({instance.id}, set())
    assert Instance.objects.get().lease_until > timezone.now() + timedelta(seconds=5)  # type: ignore[operator]
    assert Worker.objects.live().get() == worker


@pytest.mark.django_db
def test_renewing_reports_what_is_lost(
    alice: Person, make_instance: MakeInstance, make_worker: MakeWorker, worker: Worker
) -> None:
    kept, expired, stolen = (make_instance(alice) for _ in range(3))
    lease.claim(worker, 0)
    expire(expired)
    expire(stolen)
    Instance.objects.filter(pk=stolen.pk).update(holder=make_worker(), epoch=2, lease_until=lease._lease_end())
    assert lease.renew(worker, [kept.id, expired.id, stolen.id]) == ({kept.id}, {expired.id, stolen.id})
    assert Instance.objects.get(pk=expired.pk).lease_until < timezone.now()  # type: ignore[operator]


@pytest.mark.django_db
def test_workers_share_the_numbers_fairly(alice: Person, make_instance: MakeInstance, make_worker: MakeWorker) -> None:
    for _ in range(5):
        make_instance(alice)
    first, second, third = (make_worker() for _ in range(3))
    make_worker(network="whatsapp")
    make_worker(heartbeat_at=timezone.now() - timedelta(minutes=1))
    assert [len(lease.claim(one, 0)) for one in (first, second, third)] == [2, 2, 1]
    assert lease.claim(first, 2) == []


@pytest.mark.django_db
def test_a_worker_takes_no_more_than_its_capacity(
    alice: Person, make_instance: MakeInstance, make_worker: MakeWorker
) -> None:
    for _ in range(5):
        make_instance(alice)
    small = make_worker(capacity=3)
    assert len(lease.claim(small, 0)) == 3
    assert lease.claim(small, 3) == []


@pytest.mark.django_db
def test_leaving_frees_everything(instance: Instance, worker: Worker, make_worker: MakeWorker) -> None:
    lease.claim(worker, 0)
    lease.leave(worker)
    assert not Worker.objects.exists()
    (taken,) = lease.claim(make_worker(), 0)
    assert taken.epoch == 2


@pytest.mark.django_db
def test_a_worker_notes_where_and_how_it_runs(settings: Settings) -> None:
    row = lease.register("session@here", "sandbox", "session.here")
    assert (row.pid, row.machine, row.capacity) == (os.getpid(), lease.machine(), settings.SESSION_CAPACITY)


@pytest.fixture
def dead_process() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.django_db
def test_what_a_dead_process_of_this_machine_held_is_free_at_once(
    instance: Instance, make_worker: MakeWorker, dead_process: int
) -> None:
    killed = make_worker(machine=lease.machine(), pid=dead_process)
    lease.claim(killed, 0)
    successor = lease.register("session@here", "sandbox", "session.here")
    assert not Worker.objects.filter(pk=killed.pk).exists()
    (taken,) = lease.claim(successor, 0)
    assert taken.epoch == 2


@pytest.mark.django_db
@pytest.mark.parametrize("where", ["another machine", "a living process", "the other network"])
def test_what_may_still_be_held_stays_held(
    instance: Instance, make_worker: MakeWorker, dead_process: int, where: str
) -> None:
    columns = {
        "another machine": {"machine": "elsewhere", "pid": dead_process},
        "a living process": {"machine": lease.machine(), "pid": os.getppid()},
        "the other network": {"machine": lease.machine(), "pid": dead_process, "network": "whatsapp"},
    }[where]
    other = make_worker(**columns)
    Instance.objects.update(holder=other, epoch=1, lease_until=lease._lease_end())
    successor = lease.register("session@here", "sandbox", "session.here")
    assert lease.claim(successor, 0) == []
    assert Worker.objects.filter(pk=other.pk).exists()


def test_workers_that_claim_at_the_same_time_never_share_a_number(
    committed: None, alice: Person, make_instance: MakeInstance, make_worker: MakeWorker
) -> None:
    wanted = {make_instance(alice).id for _ in range(12)}
    workers = [make_worker() for _ in range(4)]

    def claim(worker: Worker) -> set[str]:
        try:
            mine: set[str] = set()
            for _ in range(5):
                mine |= ids(lease.claim(worker, len(mine)))
            return mine
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        shares = list(threads.map(claim, workers))
    assert set().union(*shares) == wanted
    assert [len(share) for share in shares] == [3, 3, 3, 3]
    assert set(Instance.objects.values_list("epoch", flat=True)) == {1}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("capacities", "wanted", "expected"),
    [
        ([100, 100], 100, [50, 50]),
        ([100, 100, 100], 5, [2, 2, 1]),
        ([10, 200], 100, [10, 90]),
        ([10, 20], 100, [10, 20]),
        ([100, 100], 0, [0, 0]),
    ],
)
def test_shares_are_as_even_as_capacities_allow(
    make_worker: MakeWorker, capacities: list[int], wanted: int, expected: list[int]
) -> None:
    workers = [make_worker(capacity=capacity) for capacity in capacities]
    found = lease.shares(workers, wanted)
    assert [found[worker.pk] for worker in workers] == expected


@pytest.mark.django_db
def test_a_worker_on_its_way_out_takes_nothing_and_leaves_its_share_to_others(
    alice: Person, make_instance: MakeInstance, make_worker: MakeWorker
) -> None:
    for _ in range(4):
        make_instance(alice)
    first, second = make_worker(), make_worker()
    lease.drain(first)
    assert lease.claim(first, 0) == []
    assert len(lease.claim(second, 0)) == 4


@pytest.mark.django_db
def test_what_nobody_takes_is_taken_beyond_the_share(
    alice: Person, make_instance: MakeInstance, make_worker: MakeWorker
) -> None:
    for _ in range(4):
        make_instance(alice)
    first, _ = make_worker(), make_worker()
    assert len(lease.claim(first, 0)) == 2
    assert lease.claim(first, 2) == []
    assert len(lease.claim(first, 2, all_there_is=True)) == 2


@pytest.mark.django_db
def test_a_new_worker_counts_for_others_when_it_has_lived_for_a_lease(
    alice: Person, make_instance: MakeInstance, make_worker: MakeWorker
) -> None:
    for _ in range(4):
        make_instance(alice)
    old = make_worker(started_at=timezone.now() - timedelta(minutes=1))
    new = make_worker()
    assert (lease.share(old), lease.share(old, settled=True), lease.share(new, settled=True)) == (2, 4, 2)


@pytest.mark.django_db
def test_numbers_in_quarantine_are_nobodys(instance: Instance, worker: Worker) -> None:
    Instance.objects.update(quarantined_until=timezone.now() + timedelta(minutes=1))
    assert (lease.share(worker), lease.claim(worker, 0), lease.unclaimed("sandbox")) == (0, [], False)
