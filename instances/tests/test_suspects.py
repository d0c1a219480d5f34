"""Which numbers are suspected of having taken their worker down, and what follows."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from conftest import Person
from instances.holding import deaths, lease
from instances.holding.suspects import ALONE, FEW, Candidate, admitted
from instances.models import Instance, Worker
from webhooks.models import Event

pytestmark = pytest.mark.django_db
MakeInstance = Callable[..., Instance]
MakeWorker = Callable[..., Worker]


@pytest.fixture(scope="module")
def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def die(make_worker: MakeWorker, dead_process: int) -> Callable[[list[Instance]], None]:
    """A new worker claims what it may and dies; fails unless it got these."""

    def die(instances: list[Instance]) -> None:
        worker = make_worker(machine=deaths.machine(), pid=dead_process)
        assert {one.pk for one in lease.claim(worker, 0)} == {one.pk for one in instances}
        assert deaths.settle("sandbox") == 1
        for instance in instances:
            instance.refresh_from_db()

    return die


def test_of_a_worker_that_dies_while_it_connects_many_nothing_follows(
    alice: Person, make_instance: MakeInstance, die: Callable[[list[Instance]], None]
) -> None:
    numbers = [make_instance(alice) for _ in range(20)]
    die(numbers)
    assert {number.crashes for number in numbers} == {1}
    die(numbers)
    assert {number.crashes for number in numbers} == {FEW}


def test_what_was_connected_for_long_is_not_suspected(
    instance: Instance, make_worker: MakeWorker, dead_process: int
) -> None:
    worker = make_worker(machine=deaths.machine(), pid=dead_process)
    lease.claim(worker, 0)
    lease.prove(worker, [instance.pk], [])
    deaths.settle("sandbox")
    instance.refresh_from_db()
    assert (instance.crashes, instance.holder, instance.probation_since) == (0, None, None)


def test_a_number_that_takes_down_worker_after_worker_is_quarantined_for_longer_each_time(
    instance: Instance, die: Callable[[list[Instance]], None], make_worker: MakeWorker, settings: Settings
) -> None:
    settings.SESSION_QUARANTINE_SECONDS = 60
    die([instance])
    assert (instance.crashes, instance.quarantined_until) == (ALONE, None)
    die([instance])
    for times, seconds in ((1, 60), (2, 240), (3, 960)):
        assert (instance.state, instance.reason, instance.quarantines) == ("reconnecting", "quarantined", times)
        assert instance.quarantined_until is not None
        left = instance.quarantined_until - timezone.now()
        assert timedelta(seconds=seconds - 5) < left <= timedelta(seconds=seconds)
        assert lease.claim(make_worker(), 0) == []
        Worker.objects.all().delete()
        Instance.objects.update(quarantined_until=timezone.now())
        die([instance])
    told = Event.objects.filter(type="instance.quarantined").order_by("sequence")
    assert [event.data["times"] for event in told] == [1, 2, 3, 4]


def test_a_number_that_proves_harmless_is_suspected_no_more(
    instance: Instance, die: Callable[[list[Instance]], None], make_worker: MakeWorker
) -> None:
    die([instance])
    worker = make_worker()
    lease.claim(worker, 0)
    lease.prove(worker, [instance.pk], [])
    assert Instance.objects.get().crashes == 0


def test_an_attempt_that_ends_without_harm_ends_the_probation_and_not_the_suspicion(
    instance: Instance, die: Callable[[list[Instance]], None], make_worker: MakeWorker
) -> None:
    die([instance])
    worker = make_worker()
    lease.claim(worker, 0)
    lease.prove(worker, [], [instance.pk])
    assert (Instance.objects.get().crashes, Instance.objects.get().probation_since) == (ALONE, None)


def test_a_worker_that_is_merely_silent_names_nobody(instance: Instance, make_worker: MakeWorker) -> None:
    Instance.objects.update(crashes=ALONE)
    lease.claim(worker := make_worker(), 0)
    Worker.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=1))
    Instance.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    deaths.settle("sandbox")
    instance.refresh_from_db()
    assert (instance.quarantined_until, instance.holder) == (None, None)
    assert Worker.objects.filter(pk=worker.pk).exists()


def test_what_an_orderly_end_releases_is_not_suspected(instance: Instance, make_worker: MakeWorker) -> None:
    lease.claim(worker := make_worker(), 0)
    lease.leave(worker)
    assert Instance.objects.get().probation_since is None


def numbers(*crashes: int, crashed: int = 10) -> list[tuple[int, int]]:
    """(crashes, seconds since the last of them) of each."""
    return [(one, crashed) for one in crashes]


@pytest.mark.parametrize(
    ("free", "held", "on_trial", "taken"),
    [
        (numbers(0, 0, 1), 5, [0, 1], ["0", "1", "2"]),
        (numbers(ALONE, 0, 0), 0, [], ["0"]),
        (numbers(ALONE, 0, 0), 1, [], ["1", "2"]),
        (numbers(ALONE, 0, crashed=100), 1, [], ["0"]),
        (numbers(ALONE, 0, crashed=100), 1, [0], ["1"]),
        (numbers(0, 0), 1, [ALONE], []),
        (numbers(*[FEW] * 10, 0), 0, [], ["0", "1", "2", "3", "4", "5", "6", "7", "10"]),
        (numbers(FEW, FEW, 0), 7, [FEW] * 7, ["0", "2"]),
    ],
    ids=[
        "once suspected: as any other",
        "alone: first, on an empty worker",
        "alone: not beside others",
        "alone: beside others when no worker was empty for long",
        "alone: not beside others that are on trial",
        "nothing beside one that is tried alone",
        "few at a time",
        "few at a time, with those on trial",
    ],
)
def test_what_is_tried_together(free: list[tuple[int, int]], held: int, on_trial: list[int], taken: list[str]) -> None:
    now = timezone.now()
    candidates = [
        Candidate(f"{place}", crashes, now - timedelta(seconds=ago)) for place, (crashes, ago) in enumerate(free)
    ]
    assert admitted(candidates, held, on_trial) == taken
