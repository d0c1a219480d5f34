from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient

from accounts.actor import Actor
from config.api.problems import Problem
from conftest import Person, assert_problem
from instances import services
from instances.models import Instance
from subscriptions.models import Plan
from subscriptions.services import change_plan
from webhooks.models import Event


def create(client: APIClient, network: str = "sandbox") -> Any:
    return client.post("/api/instances", {"name": "Sales", "network": network}, format="json")


@pytest.mark.django_db
def test_a_plan_allows_so_many_numbers_on_each_network(
    alice: Person, charlie: Person, make_instance: Callable[..., Instance]
) -> None:
    for _ in range(4):
        make_instance(alice)
    assert create(alice.client).status_code == 201
    events = Event.objects.count()
    body = assert_problem(create(alice.client), 402, "instance_limit_reached")
    assert (body["limit"], body["used"], body["network"]) == (5, 5, "sandbox")
    assert (Instance.objects.count(), Event.objects.count()) == (5, events)
    assert create(alice.client, "whatsapp").status_code == 201
    assert create(charlie.client).status_code == 201


@pytest.mark.django_db
def test_a_larger_plan_has_room_at_once(alice: Person, make_instance: Callable[..., Instance]) -> None:
    for _ in range(5):
        make_instance(alice)
    assert create(alice.client).status_code == 402
    assert alice.client.patch("/api/subscription", {"plan": "pro"}, format="json").status_code == 200
    assert create(alice.client).status_code == 201


def _at_once(*works: Callable[[], Any]) -> list[Any]:
    """The results of all, begun together in threads of their own; a refusal is the result too."""
    barrier = Barrier(len(works))

    def run(work: Callable[[], Any]) -> Any:
        barrier.wait()
        try:
            return work()
        except Problem as problem:
            return problem.code
        finally:
            connection.close()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def _creation(actor: Actor) -> Callable[[], Any]:
    return lambda: services.create(actor=actor, name="Sales", network="sandbox").id


def test_creations_at_once_never_pass_the_limit(committed: None, alice: Person) -> None:
    results = _at_once(*[_creation(alice.actor)] * 12)
    assert results.count("instance_limit_reached") == 12 - 5
    assert Instance.objects.count() == 5


def test_a_creation_and_a_smaller_plan_at_once_never_both_go_through(
    committed: None, alice: Person, make_instance: Callable[..., Instance]
) -> None:
    actor = alice.actor
    for _ in range(5):
        make_instance(alice)
    for _ in range(6):
        change_plan(actor=actor, plan="pro")
        created, changed = _at_once(_creation(actor), lambda: change_plan(actor=actor, plan="basic").plan_id)
        plan = Plan.objects.get(subscriptions__organization=alice.organization)
        assert (created, changed) in ((created, "plan_too_small"), ("instance_limit_reached", "basic"))
        assert Instance.objects.count() <= plan.instances
        Instance.objects.filter(name="Sales").delete()
