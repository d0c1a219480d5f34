from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import organizations
from accounts.models import Organization
from audit.models import Entry
from config.timestamps import iso
from conftest import Person
from subscriptions import services
from subscriptions.models import Meter, Subscription
from subscriptions.tasks import sweep_expired

pytestmark = pytest.mark.django_db


def suspension(person: Person) -> str | None:
    return Organization.objects.get(pk=person.organization.pk).suspended_reason


def ends_in(person: Person, **delta: float) -> None:
    services.extend(organization=person.organization, until=timezone.now() + timedelta(**delta))


def test_an_organization_is_suspended_when_its_subscription_ends(alice: Person, charlie: Person) -> None:
    ends_in(alice, hours=1)
    sweep_expired()
    assert suspension(alice) is None
    Subscription.objects.filter(organization=alice.organization).update(expires_at=timezone.now())
    sweep_expired()
    assert (suspension(alice), suspension(charlie)) == ("expired", None)


def test_extending_resumes_it(alice: Person) -> None:
    ends_in(alice, seconds=-1)
    assert suspension(alice) == "expired"
    ends_in(alice, days=30)
    assert suspension(alice) is None
    body = alice.client.get("/api/subscription").json()
    assert body["state"] == "active"
    assert body["expires_at"] is not None
    services.extend(organization=alice.organization, until=None)
    assert alice.client.get("/api/subscription").json()["expires_at"] is None


def test_an_end_in_the_past_does_not_resume(alice: Person) -> None:
    ends_in(alice, days=-2)
    ends_in(alice, days=-1)
    assert suspension(alice) == "expired"


def test_extending_does_not_end_an_operators_suspension(alice: Person) -> None:
    organizations.suspend(organization=alice.organization, reason="operator")
    ends_in(alice, days=-1)
    sweep_expired()
    ends_in(alice, days=1)
    assert suspension(alice) == "operator"


def test_an_operators_resumption_of_what_has_expired_does_not_last(alice: Person) -> None:
    ends_in(alice, days=-1)
    organizations.resume(organization=alice.organization)
    sweep_expired()
    assert suspension(alice) == "expired"


def test_a_late_sweep_does_not_suspend_what_was_extended_meanwhile(alice: Person) -> None:
    ends_in(alice, days=1)
    assert not services.expire(organization_id=alice.organization.id)
    assert suspension(alice) is None


def test_the_meters_know_the_end_at_once(alice: Person, charlie: Person) -> None:
    ends_in(alice, days=3)
    ends = set(Meter.objects.filter(organization=alice.organization).values_list("expires_at", flat=True))
    assert ends == {Subscription.objects.get(organization=alice.organization).expires_at}
    assert set(Meter.objects.filter(organization=charlie.organization).values_list("expires_at", flat=True)) == {None}


def test_an_extension_is_recorded(alice: Person) -> None:
    until = timezone.now() + timedelta(days=3)
    services.extend(organization=alice.organization, until=until)
    services.extend(organization=alice.organization, until=until)
    (entry,) = Entry.objects.filter(tag__endswith=":subscription:extended")
    assert entry.changes == {"expires_at": [None, iso(until)]}
