from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from conftest import Person
from subscriptions import quota
from subscriptions.models import Meter, Subscription, UsageAlert
from subscriptions.quota import Granted

pytestmark = pytest.mark.django_db
SetMeter = Callable[..., Meter]


def reserve(person: Person, count: int, network: str = "sandbox") -> Granted:
    key = person.organization.id, network
    with transaction.atomic():
        return quota.reserve({key: count})[key]


def used(person: Person, network: str = "sandbox") -> int:
    return Meter.objects.get(organization=person.organization, network=network).used


def test_what_fits_is_granted_in_one_statement(alice: Person) -> None:
    with CaptureQueriesContext(connection) as captured:
        assert reserve(alice, 3) == Granted(3, None, ())
    statements = [query["sql"] for query in captured if "SAVEPOINT" not in query["sql"]]
    assert len(statements) == 1
    assert used(alice) == 3


def test_what_does_not_fit_is_refused_with_limit_use_and_renewal(alice: Person, set_meter: SetMeter) -> None:
    meter = set_meter(alice, limit=10, used=8, alert_at=None)
    granted = reserve(alice, 5)
    assert (granted.granted, used(alice)) == (2, 10)
    assert granted.refusal is not None
    body = granted.refusal.body()
    assert (body["status"], body["code"]) == (429, "quota_exceeded")
    assert (body["limit"], body["used"], body["network"]) == (10, 10, "sandbox")
    left = (meter.ends_at - timezone.now()).total_seconds()
    assert 0 <= int(granted.refusal.headers["Retry-After"]) - left < 30
    assert reserve(alice, 1).granted == 0


def test_the_sandbox_never_eats_the_real_quota(alice: Person, set_meter: SetMeter) -> None:
    set_meter(alice, limit=2)
    assert reserve(alice, 3).granted == 2
    assert (used(alice), used(alice, "whatsapp")) == (2, 0)
    assert reserve(alice, 3, "whatsapp").granted == 3


def test_several_meters_are_taken_at_once(alice: Person, charlie: Person, set_meter: SetMeter) -> None:
    set_meter(charlie, limit=1)
    a, c = (alice.organization.id, "whatsapp"), (charlie.organization.id, "sandbox")
    with transaction.atomic():
        granted = quota.reserve({c: 2, a: 2})
    assert (granted[a].granted, granted[c].granted) == (2, 1)
    assert (used(alice, "whatsapp"), used(charlie), used(alice)) == (2, 1, 0)


def test_a_transaction_that_fails_has_used_nothing(alice: Person) -> None:
    with transaction.atomic():
        reserve(alice, 5)
        transaction.set_rollback(True)
    assert used(alice) == 0


def test_a_new_month_begins_with_its_first_message(alice: Person, set_meter: SetMeter) -> None:
    Subscription.objects.update(started_at=timezone.now() - timedelta(days=100))
    past = timezone.now() - timedelta(days=40)
    set_meter(alice, limit=10, used=10, alert_at=None, starts_at=past, ends_at=past + timedelta(days=30))
    assert reserve(alice, 4) == Granted(4, None, ())
    meter = Meter.objects.get(organization=alice.organization, network="sandbox")
    assert (meter.used, meter.limit, meter.alert_at) == (4, 10, 8)
    assert meter.starts_at <= timezone.now() < meter.ends_at


def test_an_expired_subscription_grants_nothing_at_once(alice: Person, set_meter: SetMeter) -> None:
    expires_at = timezone.now() - timedelta(milliseconds=1)
    set_meter(alice, expires_at=expires_at)
    granted = reserve(alice, 1)
    assert (granted.granted, used(alice)) == (0, 0)
    assert granted.refusal is not None
    assert (granted.refusal.status, granted.refusal.code) == (402, "subscription_expired")
    set_meter(alice, expires_at=timezone.now() + timedelta(minutes=1))
    assert reserve(alice, 1).granted == 1


def test_a_threshold_is_crossed_once_a_month(alice: Person, set_meter: SetMeter) -> None:
    meter = set_meter(alice, limit=10)
    assert reserve(alice, 7).crossed == ()
    assert reserve(alice, 1).crossed == ((80, 8, 10, meter.ends_at),)
    assert reserve(alice, 1).crossed == ()
    assert [(one.percent, one.used) for one in reserve(alice, 5).crossed] == [(100, 10)]
    release(alice, 5)
    assert reserve(alice, 5).crossed == ()
    assert list(UsageAlert.objects.order_by("percent").values_list("percent", flat=True)) == [80, 100]


def test_a_burst_crosses_both_thresholds(alice: Person, set_meter: SetMeter) -> None:
    set_meter(alice, limit=3)
    assert [one.percent for one in reserve(alice, 9).crossed] == [80, 100]


def test_an_alert_falls_with_the_transaction_that_crossed(alice: Person, set_meter: SetMeter) -> None:
    set_meter(alice, limit=10)
    with transaction.atomic():
        assert reserve(alice, 8).crossed
        transaction.set_rollback(True)
    assert not UsageAlert.objects.exists()
    assert reserve(alice, 8).crossed


def release(person: Person, count: int, age: timedelta = timedelta(0)) -> None:
    row = person.organization.id, "sandbox", timezone.now() - age
    with transaction.atomic():
        quota.release([row] * count)


def test_what_ended_unsent_can_be_used_again(alice: Person, set_meter: SetMeter) -> None:
    set_meter(alice, limit=2)
    reserve(alice, 2)
    assert reserve(alice, 1).granted == 0
    release(alice, 1)
    assert used(alice) == 1
    assert reserve(alice, 2).granted == 1


def test_what_was_accepted_last_month_is_gone(alice: Person, set_meter: SetMeter) -> None:
    set_meter(alice, starts_at=timezone.now() - timedelta(days=1), used=5)
    release(alice, 2, timedelta(days=2))
    assert used(alice) == 5
    now = timezone.now()
    rows = [(alice.organization.id, "sandbox", moment) for moment in (now, now - timedelta(days=2), now)]
    with transaction.atomic():
        quota.release(rows)
    assert used(alice) == 3


def test_the_use_never_falls_below_nothing(alice: Person) -> None:
    reserve(alice, 1)
    release(alice, 3)
    assert used(alice) == 0
