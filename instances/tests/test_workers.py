"""What operators are told of session workers: by a command, and as metrics."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from audit.models import Entry
from config import metrics
from conftest import Person
from instances import services
from instances.holding import lease
from instances.holding.load import Load
from instances.metrics import READINGS
from instances.models import Instance, Worker

pytestmark = pytest.mark.django_db
MakeInstance = Callable[..., Instance]
MakeWorker = Callable[..., Worker]


@pytest.fixture
def fleet(alice: Person, make_instance: MakeInstance, make_worker: MakeWorker) -> dict[str, Any]:
    """A worker that holds two numbers, one that is gone, a number that nobody holds and one in quarantine."""
    first, gone = make_worker(name="first"), make_worker(name="gone")
    held = [make_instance(alice) for _ in range(2)]
    Worker.objects.filter(pk=gone.pk).update(heartbeat_at=timezone.now() - timedelta(minutes=1))
    lease.claim(first, 0)
    lease.renew(first, [one.pk for one in held], Load(300, 40, 90, 2**27, 0.25))
    free = make_instance(alice)
    quarantined = make_instance(alice, quarantined_until=timezone.now() + timedelta(minutes=5), crashes=3)
    return {"first": first, "gone": gone, "held": held, "free": free, "quarantined": quarantined}


def told(*arguments: str) -> str:
    output = StringIO()
    call_command("workers", *arguments, stdout=output)
    return output.getvalue()


def test_programs_are_told_workers_their_numbers_and_lease_ages(fleet: dict[str, Any], settings: Any) -> None:
    found = json.loads(told("--json"))
    first, gone = found["workers"]
    assert (first["name"], first["alive"], first["draining_for"]) == ("first", True, None)
    assert [number["id"] for number in first["numbers"]] == [one.pk for one in fleet["held"]]
    assert all(0 < number["lease_left"] <= settings.LEASE_SECONDS for number in first["numbers"])
    assert [first[name] for name in ("descriptors", "store_connections", "threads", "cpu")] == [300, 40, 90, 0.25]
    assert (gone["name"], gone["alive"], gone["numbers"]) == ("gone", False, [])
    assert gone["heartbeat_age"] >= 60
    assert [number["id"] for number in found["unheld"]] == [fleet["free"].pk]
    assert [number["crashes"] for number in found["quarantined"]] == [3]


def test_people_are_told_the_same(fleet: dict[str, Any]) -> None:
    text = told()
    assert "first" in text
    assert "2 of 100 numbers" in text
    assert "GONE" in text
    assert all(one.pk in text for one in (*fleet["held"], fleet["free"], fleet["quarantined"]))
    assert text.count("on probation") == 2


def test_one_network_can_be_asked_for(fleet: dict[str, Any]) -> None:
    assert told("--network", "whatsapp") == "There is no session worker.\n"


def test_metrics_tell_the_load_of_each_living_worker(fleet: dict[str, Any]) -> None:
    expected = {
        metrics.WORKER_NUMBERS: 2,
        metrics.WORKER_CAPACITY: 100,
        metrics.WORKER_DRAINING: 0,
        metrics.WORKER_DESCRIPTORS: 300,
        metrics.WORKER_STORES: 40,
        metrics.WORKER_THREADS: 90,
        metrics.WORKER_MEMORY: 2**27,
        metrics.WORKER_CPU: 0.25,
    }
    assert {metric: READINGS[metric]() for metric in expected} == {
        metric: {("first",): value} for metric, value in expected.items()
    }
    assert 0 <= READINGS[metrics.WORKER_HEARTBEAT_SECONDS]()[("first",)] < 5


def test_metrics_tell_what_is_not_held(fleet: dict[str, Any]) -> None:
    found = [READINGS[metric]() for metric in (metrics.NUMBERS_UNHELD, metrics.NUMBERS_QUARANTINED)]
    assert found == [{("sandbox",): 1, ("whatsapp",): 0}] * 2
    assert READINGS[metrics.NUMBERS_ON_PROBATION]()[("sandbox",)] == 2


def test_an_operator_ends_a_quarantine_and_the_number_is_tried_alone(fleet: dict[str, Any]) -> None:
    number, other = fleet["quarantined"], fleet["free"]
    services.end_quarantine(instance=number)
    services.end_quarantine(instance=number)
    number.refresh_from_db()
    assert (number.state, number.reason, number.crashes) == ("reconnecting", "waiting_for_worker", 3)
    assert Entry.objects.filter(tag__endswith="instance:quarantine_ended").count() == 1
    Worker.objects.all().delete()
    assert [one.pk for one in lease.claim(lease.register("empty", "sandbox", "q"), 0)] == [number.pk]
    assert not Instance.objects.filter(pk=other.pk, holder__isnull=False).exists()
