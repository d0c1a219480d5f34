from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from pytest_django import Settings

from accounts import organizations
from audit.models import Entry
from config.variables import Rate
from conftest import Person, assert_problem
from instances.models import Instance
from subscriptions import quota, services
from subscriptions.models import Meter, Subscription

pytestmark = pytest.mark.django_db
SetMeter = Callable[..., Meter]


def change(person: Person, plan: object) -> object:
    return person.client.patch("/api/subscription", {"plan": plan}, format="json")


def test_a_new_organization_has_the_basic_plan_and_has_used_nothing(alice: Person) -> None:
    body = alice.client.get("/api/subscription").json()
    assert body["id"].startswith("sub_")
    assert (body["plan"]["code"], body["state"], body["expires_at"]) == ("basic", "active", None)
    renews_at = body["period"]["renews_at"]
    messages = {"used": 0, "limit": 10_000, "renews_at": renews_at}
    assert body["messages"] == {"sandbox": messages, "whatsapp": messages}
    assert body["instances"] == {network: {"used": 0, "limit": 5} for network in ("sandbox", "whatsapp")}
    assert body["period"]["starts_at"] == body["started_at"]
    assert 28 <= (parse_datetime(renews_at) - timezone.now()).days + 1 <= 31


def test_it_shows_what_is_used_on_each_network(
    alice: Person, charlie: Person, set_meter: SetMeter, make_instance: Callable[..., Instance]
) -> None:
    set_meter(alice, used=3)
    make_instance(alice)
    make_instance(alice, network="whatsapp")
    make_instance(alice, network="whatsapp", state="banned")
    make_instance(charlie)
    body = alice.client.get("/api/subscription").json()
    assert [body["messages"][network]["used"] for network in ("sandbox", "whatsapp")] == [3, 0]
    assert [body["instances"][network]["used"] for network in ("sandbox", "whatsapp")] == [1, 2]


def test_a_month_that_is_over_does_not_count_any_more(alice: Person, set_meter: SetMeter) -> None:
    Subscription.objects.update(started_at=timezone.now() - timedelta(days=100))
    past = timezone.now() - timedelta(days=50)
    set_meter(alice, used=9, starts_at=past, ends_at=past + timedelta(days=30))
    body = alice.client.get("/api/subscription").json()
    assert body["messages"]["sandbox"]["used"] == 0
    assert parse_datetime(body["period"]["starts_at"]) <= timezone.now() < parse_datetime(body["period"]["renews_at"])


def test_a_key_sees_its_own_network(alice: Person) -> None:
    assert set(alice.program("read", mode="live").get("/api/subscription").json()["messages"]) == {"whatsapp"}
    assert set(alice.program("read", mode="test").get("/api/subscription").json()["instances"]) == {"sandbox"}


def test_everybody_in_the_organization_sees_it_and_only_its_owner_changes_it(
    alice: Person, bob: Person, rita: Person, charlie: Person
) -> None:
    shown = alice.client.get("/api/subscription").json()
    for person in (bob, rita):
        assert person.client.get("/api/subscription").json() == shown
        assert_problem(change(person, "pro"), 403, "permission_denied")
    answer = alice.program().patch("/api/subscription", {"plan": "pro"}, format="json")
    assert_problem(answer, 403, "missing_scope")
    assert change(alice, "pro").status_code == 200
    assert charlie.client.get("/api/subscription").json()["plan"]["code"] == "basic"


def test_a_larger_plan_holds_at_once_and_keeps_what_was_used(alice: Person, set_meter: SetMeter) -> None:
    set_meter(alice, used=10_000, alert_at=None)
    before = alice.client.get("/api/subscription").json()
    body = change(alice, "pro").json()
    assert body["plan"]["code"] == "pro"
    assert (body["messages"]["sandbox"]["used"], body["messages"]["sandbox"]["limit"]) == (10_000, 50_000)
    assert body["period"] == before["period"]
    key = alice.organization.id, "sandbox"
    with transaction.atomic():
        assert quota.reserve({key: 1})[key].granted == 1


def test_the_same_plan_again_changes_nothing(alice: Person) -> None:
    before = alice.client.get("/api/subscription").json()
    assert change(alice, "basic").json() == before


@pytest.mark.parametrize("plan", ["gold", "", None, 5, ["pro"], "x" * 21])
def test_a_plan_that_is_none_is_refused(alice: Person, plan: object) -> None:
    body = assert_problem(change(alice, plan), 400, "invalid_request")
    assert body["errors"][0]["pointer"] == "/plan"


def test_a_smaller_plan_must_have_room_for_what_is_used(
    alice: Person, set_meter: SetMeter, make_instance: Callable[..., Instance]
) -> None:
    change(alice, "pro")
    meter = set_meter(alice, "whatsapp", used=10_001)
    numbers = [make_instance(alice) for _ in range(6)]
    body = assert_problem(change(alice, "basic"), 409, "plan_too_small")
    assert body["exceeded"] == [
        {"resource": "instances", "network": "sandbox", "used": 6, "limit": 5},
        {"resource": "messages", "network": "whatsapp", "used": 10_001, "limit": 10_000},
    ]
    assert alice.client.get("/api/subscription").json()["plan"]["code"] == "pro"

    numbers[0].delete()
    meter.used = 10_000
    meter.save()
    assert change(alice, "basic").json()["plan"]["code"] == "basic"
    assert Meter.objects.get(pk=meter.pk).limit == 10_000


def test_last_months_messages_do_not_stand_against_a_smaller_plan(alice: Person, set_meter: SetMeter) -> None:
    change(alice, "pro")
    Subscription.objects.update(started_at=timezone.now() - timedelta(days=100))
    past = timezone.now() - timedelta(days=50)
    set_meter(alice, used=50_000, starts_at=past, ends_at=past + timedelta(days=30))
    assert change(alice, "basic").json()["messages"]["sandbox"]["used"] == 0


def test_an_operator_may_set_a_plan_that_is_too_small(
    alice: Person, set_meter: SetMeter, make_instance: Callable[..., Instance]
) -> None:
    services.set_plan(organization=alice.organization, plan="pro")
    set_meter(alice, used=20_000)
    for _ in range(6):
        make_instance(alice)
    services.set_plan(organization=alice.organization, plan="basic")
    body = alice.client.get("/api/subscription").json()
    assert body["messages"]["sandbox"]["used"] > body["messages"]["sandbox"]["limit"]
    key = alice.organization.id, "sandbox"
    with transaction.atomic():
        refusal = quota.reserve({key: 1})[key].refusal
    assert refusal is not None
    assert (refusal.code, refusal.extensions["used"]) == ("quota_exceeded", 20_000)


def test_an_ended_subscription_cannot_change_its_plan_and_says_so(alice: Person, set_meter: SetMeter) -> None:
    Subscription.objects.update(expires_at=timezone.now())
    assert alice.client.get("/api/subscription").json()["state"] == "expired"
    assert_problem(change(alice, "pro"), 402, "subscription_expired")


def test_a_suspended_organization_sees_its_subscription_and_cannot_change_it(alice: Person) -> None:
    organizations.suspend(organization=alice.organization, reason="operator")
    assert alice.client.get("/api/subscription").json()["state"] == "suspended"
    assert_problem(change(alice, "pro"), 403, "organization_suspended")


def test_a_change_of_plan_is_recorded_once(alice: Person) -> None:
    change(alice, "pro")
    change(alice, "pro")
    change(alice, "gold")
    services.set_plan(organization=alice.organization, plan="max")
    entries = Entry.objects.filter(organization_id=alice.organization.id, tag__endswith=":plan:changed")
    assert [entry.changes for entry in entries.order_by("sequence")] == [
        {"plan": ["basic", "pro"]},
        {"plan": ["pro", "max"]},
    ]
    assert entries.order_by("sequence")[0].subject == alice.organization.subscription.id


def test_a_larger_plan_may_ask_more_often(alice: Person, charlie: Person, settings: Settings) -> None:
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"organization": Rate(1, 60)}
    services.set_plan(organization=alice.organization, plan="max")
    for person, rate in ((alice, 30_000), (charlie, 6_000)):
        assert f'"organization";q={rate};w=60' in person.client.get("/api/subscription")["RateLimit-Policy"]
