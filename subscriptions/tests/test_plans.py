from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from audit.models import Entry
from conftest import Person, assert_problem
from subscriptions import services
from subscriptions.models import Meter, Plan, UsageAlert

pytestmark = pytest.mark.django_db


def test_everybody_sees_the_plans_smallest_first(anonymous: APIClient) -> None:
    body = anonymous.get("/api/plans").json()
    rows = [(one["code"], one["name"], one["instances"], one["messages_per_month"]) for one in body["results"]]
    assert rows == [("basic", "Basic", 5, 10_000), ("pro", "Pro", 20, 50_000), ("max", "Max", 40, 100_000)]
    rates = [one["requests_per_minute"] for one in body["results"]]
    assert rates == sorted(rates)


def test_a_plan_that_is_not_public_is_not_listed(anonymous: APIClient, alice: Person) -> None:
    Plan.objects.filter(pk="max").update(is_public=False)
    assert [one["code"] for one in anonymous.get("/api/plans").json()["results"]] == ["basic", "pro"]
    answer = alice.client.patch("/api/subscription", {"plan": "max"}, format="json")
    assert_problem(answer, 400, "invalid_request")


def test_credentials_do_not_change_the_list(anonymous: APIClient, alice: Person) -> None:
    assert alice.client.get("/api/plans").json() == anonymous.get("/api/plans").json()


def test_an_edited_plan_holds_at_once_for_all_who_have_it(alice: Person, charlie: Person) -> None:
    services.set_plan(organization=charlie.organization, plan="pro")
    basic = Plan.objects.get(pk="basic")
    basic.messages_per_month = 7
    services.save_plan(plan=basic)
    limits = dict(Meter.objects.filter(network="sandbox").values_list("organization_id", "limit"))
    assert limits == {alice.organization.id: 7, charlie.organization.id: 50_000}
    assert alice.client.get("/api/subscription").json()["messages"]["sandbox"]["limit"] == 7


def test_a_plan_edited_in_other_ways_leaves_the_meters_alone(alice: Person) -> None:
    Meter.objects.update(alert_at=None)
    basic = Plan.objects.get(pk="basic")
    basic.name, basic.instances = "Starter", 6
    services.save_plan(plan=basic)
    assert set(Meter.objects.values_list("alert_at", flat=True)) == {None}
    body = alice.client.get("/api/subscription").json()
    assert (body["plan"]["name"], body["instances"]["sandbox"]["limit"]) == ("Starter", 6)
    assert not UsageAlert.objects.exists()


def test_an_edited_plan_is_recorded_with_what_changed(alice: Person) -> None:
    basic = Plan.objects.get(pk="basic")
    services.save_plan(plan=basic)
    basic.instances = 6
    services.save_plan(plan=basic)
    (entry,) = Entry.objects.filter(tag__endswith=":plan:edited")
    assert (entry.organization_id, entry.subject, entry.changes) == (None, "basic", {"instances": [5, 6]})
