from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from accounts import organizations
from config.api.problems import Problem
from conftest import Person, assert_problem, somebody_waits_for_a_lock, wait_for
from instances import services
from instances.models import Instance
from instances.states import ENDED, State
from webhooks.models import Event


def suspend(person: Person) -> None:
    organizations.suspend(organization=person.organization, reason="operator")


def resume(person: Person) -> None:
    organizations.resume(organization=person.organization)


def shown(instance: Instance) -> tuple[str, str, str]:
    instance.refresh_from_db()
    return instance.wanted, instance.state, instance.reason


SUSPENDED = ("stopped", "stopped", "organization_suspended")


@pytest.mark.django_db
@pytest.mark.parametrize("state", [State.CONNECTED, State.CONNECTING, State.RECONNECTING])
def test_a_suspension_stops_what_is_online_and_its_end_connects_it_again(
    alice: Person, make_instance: Callable[..., Instance], state: str
) -> None:
    instance = make_instance(alice, state=state)
    suspend(alice)
    assert shown(instance) == SUSPENDED
    assert instance.linked
    assert [event.data["reason"] for event in Event.objects.all()] == ["organization_suspended"]
    body = alice.client.get(f"/api/instances/{instance.id}").json()
    assert (body["state"], body["reason"]) == ("stopped", "organization_suspended")
    resume(alice)
    assert shown(instance) == ("connected", "connecting", "waiting_for_worker")


@pytest.mark.django_db
def test_a_link_that_was_under_way_begins_anew(alice: Person, showing: Instance) -> None:
    suspend(alice)
    assert shown(showing) == SUSPENDED
    assert showing.qr_code is None
    resume(alice)
    assert shown(showing) == ("connected", "linking", "waiting_for_worker")


@pytest.mark.django_db
@pytest.mark.parametrize("state", sorted(ENDED))
def test_what_is_not_online_stays_as_it_is(alice: Person, make_instance: Callable[..., Instance], state: str) -> None:
    ended = make_instance(alice, state=state, reason="refused")
    stopped = make_instance(alice, wanted="stopped", state=State.STOPPED, reason="stopped_by_user")
    new = make_instance(alice, wanted="stopped", state=State.CREATED, reason="new", phone=None, device_jid=None)
    before = [shown(one) for one in (ended, stopped, new)]
    suspend(alice)
    assert [shown(one) for one in (ended, stopped, new)] == before
    resume(alice)
    assert [shown(one) for one in (ended, stopped, new)] == before
    assert not Event.objects.exists()


@pytest.mark.django_db
def test_other_organizations_stay_online(
    alice: Person, charlie: Person, make_instance: Callable[..., Instance]
) -> None:
    theirs = make_instance(charlie)
    suspend(alice)
    assert theirs.state == shown(theirs)[1]


@pytest.mark.django_db
def test_nobody_connects_a_number_meanwhile(alice: Person, instance: Instance) -> None:
    suspend(alice)
    assert_problem(alice.client.post(f"/api/instances/{instance.id}/connect"), 403, "organization_suspended")
    with pytest.raises(Problem, match="suspended"):  # a request that passed the door just before
        services.connect(instance=instance)
    assert shown(instance) == SUSPENDED


@pytest.mark.django_db
def test_a_number_stopped_meanwhile_does_not_come_back(alice: Person, instance: Instance) -> None:
    suspend(alice)
    services.stop(instance=instance)
    resume(alice)
    assert shown(instance) == ("stopped", "stopped", "stopped_by_user")


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="on SQLite one transaction at a time writes")
def test_a_number_being_connected_while_the_suspension_comes_is_stopped(
    committed: None, alice: Person, instance: Instance
) -> None:
    services.stop(instance=instance)

    def suspend_in_thread() -> None:
        try:
            suspend(alice)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            services.connect(instance=instance)
            suspending = pool.submit(suspend_in_thread)
            wait_for(somebody_waits_for_a_lock)
        suspending.result(10)
    assert shown(instance) == SUSPENDED
