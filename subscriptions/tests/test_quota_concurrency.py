"""Real threads with real connections; on SQLite they take turns, on PostgreSQL they meet at the row."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from threading import Barrier

from django.db import connection, transaction
from django.utils import timezone

from config.api.problems import Problem
from config.ids import new_id
from conftest import Person
from subscriptions import quota, services, usage
from subscriptions.models import DailyUsage, Meter, UsageAlert

WRITERS = 50


def at_once(count: int, work: Callable[[int], int]) -> list[int]:
    """Runs the work in so many threads that begin together, each with a connection of its own."""
    barrier = Barrier(count)

    def run(number: int) -> int:
        barrier.wait()
        try:
            return work(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def test_fifty_writers_get_exactly_the_limit(committed: None, alice: Person, set_meter: Callable[..., Meter]) -> None:
    past = timezone.now() - timedelta(days=40)
    limit = 137
    # The month is over too, so that all of them meet at its renewal.
    set_meter(alice, limit=limit, used=limit, alert_at=None, starts_at=past, ends_at=past + timedelta(days=30))
    key = alice.organization.id, "sandbox"

    def write(number: int) -> int:
        granted = 0
        for count in (1, 2, 1, 3):
            with transaction.atomic():
                granted += quota.reserve({key: count})[key].granted
        return granted

    granted = at_once(WRITERS, write)
    assert sum(granted) == limit == Meter.objects.get(organization_id=key[0], network=key[1]).used
    assert sorted(UsageAlert.objects.values_list("percent", flat=True)) == [80, 100]

    def give_back(number: int) -> int:
        with transaction.atomic():
            quota.release([(*key, timezone.now())])
        return 1

    returned = sum(at_once(10, give_back))
    assert Meter.objects.get(organization_id=key[0], network=key[1]).used == limit - returned
    assert sum(at_once(WRITERS, write)) == returned


def test_writers_of_many_meters_neither_deadlock_nor_lose(committed: None, alice: Person, charlie: Person) -> None:
    keys = [(person.organization.id, network) for person in (alice, charlie) for network in ("whatsapp", "sandbox")]
    instances = {key: new_id("ins") for key in keys}

    def write(number: int) -> int:
        turned = keys[number % 4 :] + keys[: number % 4]
        for _ in range(5):
            with transaction.atomic():
                quota.reserve(dict.fromkeys(turned, 1))
                usage.add((*key, instances[key], "text", "outbound") for key in turned)
        return 5

    written = sum(at_once(16, write))
    assert set(Meter.objects.values_list("used", flat=True)) == {written}
    assert sum(DailyUsage.objects.values_list("count", flat=True)) == 4 * written


def test_a_smaller_plan_and_writers_at_once_never_pass_its_limit(
    committed: None, alice: Person, set_meter: Callable[..., Meter]
) -> None:
    key, actor = (alice.organization.id, "sandbox"), alice.actor
    services.change_plan(actor=actor, plan="pro")
    set_meter(alice, used=9_985, limit=50_000)

    def work(number: int) -> int:
        if number == 0:
            with suppress(Problem):
                services.change_plan(actor=actor, plan="basic")
            return 0
        with transaction.atomic():
            return quota.reserve({key: 1})[key].granted

    granted = sum(at_once(30, work))
    meter = Meter.objects.get(organization_id=key[0], network=key[1])
    assert meter.used == 9_985 + granted
    assert (meter.limit, meter.used <= 10_000) in ((10_000, True), (50_000, False))
