"""Limits of links, cancelling one, and numbers that are linked already."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import Settings

from audit.models import Entry
from conftest import Person, assert_problem, somebody_waits_for_a_lock, wait_for
from instances.holding.handlers import HANDLERS, Linked, Unlinked
from instances.holding.writer import Item, Writer
from instances.models import Instance, Worker

MakeInstance = Callable[..., Instance]
UNLINKED = {"wanted": "stopped", "state": "created", "reason": "new", "phone": None, "device_jid": None}
LINKING = UNLINKED | {"wanted": "connected", "state": "linking", "reason": "waiting_for_scan"}


def connect(person: Person, instance: Instance) -> Any:
    return person.client.post(f"/api/instances/{instance.id}/connect")


@pytest.mark.django_db
def test_an_organization_links_so_many_at_a_time(
    alice: Person, charlie: Person, make_instance: MakeInstance, settings: Settings
) -> None:
    settings.LINKS_PER_ORGANIZATION = 2
    first, second, third = (make_instance(alice, **UNLINKED) for _ in range(3))
    for one in (first, second, first):
        assert connect(alice, one).status_code == 202
    assert assert_problem(connect(alice, third), 429, "too_many_links")["limit"] == 2
    code = alice.client.post(f"/api/instances/{third.id}/pairing-code", {"phone": "15550100009"}, "json")
    assert_problem(code, 429, "too_many_links")
    third.refresh_from_db()
    assert (third.wanted, third.link_phone) == ("stopped", None)
    assert connect(charlie, make_instance(charlie, **UNLINKED)).status_code == 202
    assert connect(alice, make_instance(alice, wanted="stopped", state="stopped")).status_code == 202, "it is linked"
    alice.client.delete(f"/api/instances/{first.id}/linking")
    assert connect(alice, third).status_code == 202


@pytest.mark.django_db
def test_the_workers_link_so_many_at_a_time(
    alice: Person, charlie: Person, make_instance: MakeInstance, make_worker: Callable[..., Worker], settings: Settings
) -> None:
    settings.LINKS_PER_WORKER = 1
    make_instance(charlie, **LINKING)
    new = make_instance(alice, **UNLINKED)
    answer = connect(alice, new)
    assert_problem(answer, 503, "linking_busy")
    assert answer["Retry-After"] == "30"
    make_worker()
    make_worker()
    assert connect(alice, new).status_code == 202


@pytest.mark.django_db
def test_cancelling_takes_the_codes_back_and_may_be_repeated(alice: Person, showing: Instance) -> None:
    Instance.objects.update(link_phone="15550100009", pairing_code="ABCD-1234")
    path = f"/api/instances/{showing.id}/linking"
    body = alice.client.delete(path).json()
    assert (body["wanted"], body["state"], body["reason"]) == ("stopped", "stopped", "link_cancelled")
    assert alice.client.delete(path).json() == body
    showing.refresh_from_db()
    assert (showing.qr_code, showing.pairing_code, showing.link_phone) == (None, None, None)


@pytest.mark.django_db
def test_cancelling_unlinks_nothing(alice: Person, instance: Instance) -> None:
    answer = alice.client.delete(f"/api/instances/{instance.id}/linking")
    assert (answer.status_code, answer.json()["state"]) == (202, "connected")


@pytest.mark.django_db
def test_a_code_for_a_number_of_ones_own_is_refused_at_once(
    alice: Person, charlie: Person, make_instance: MakeInstance
) -> None:
    mine, theirs, new = make_instance(alice), make_instance(charlie), make_instance(alice, **UNLINKED)
    path = f"/api/instances/{new.id}/pairing-code"
    problem = assert_problem(alice.client.post(path, {"phone": mine.phone}, "json"), 409, "number_in_use")
    assert mine.id in problem["detail"]
    # Whether a number is another tenant's is told after the link alone, to who holds the phone.
    assert alice.client.post(path, {"phone": theirs.phone}, "json").status_code == 202


@pytest.mark.parametrize("whose", ["mine", "theirs"])
def test_a_number_that_is_linked_elsewhere_is_taken_back(
    alice: Person, charlie: Person, held: Instance, running_writer: Writer, make_instance: MakeInstance, whose: str
) -> None:
    other = make_instance(alice if whose == "mine" else charlie)
    Instance.objects.filter(pk=held.pk).update(**LINKING | {"phone": "15550100008"})
    linked = Linked(f"{other.phone}:7@s.whatsapp.net", str(other.phone), None)
    assert running_writer.submit(held.id, 1, linked).result(20) is False
    body = alice.client.get(f"/api/instances/{held.id}").json()
    assert (body["wanted"], body["state"], body["phone"]) == ("logged_out", "stopped", "15550100008")
    assert body["reason"] == ("number_in_use" if whose == "mine" else "number_taken")
    assert (other.id in body["detail"]) == (whose == "mine")
    assert (other.id in str(list(Entry.objects.values_list("changes", flat=True)))) is False
    running_writer.submit(held.id, 1, Unlinked()).result(20)
    after = alice.client.get(f"/api/instances/{held.id}").json()
    assert (after["wanted"], after["reason"]) == ("stopped", body["reason"])
    assert not Instance.objects.get(pk=held.pk).linked
    assert connect(alice, held).json()["state"] == "linking"


def test_a_link_that_nobody_used_for_a_month_holds_no_number(
    charlie: Person, held: Instance, running_writer: Writer, make_instance: MakeInstance
) -> None:
    month_ago = timezone.now() - timedelta(days=31)
    other = make_instance(charlie, wanted="stopped", state="stopped", state_since=month_ago)
    Instance.objects.filter(pk=held.pk).update(**LINKING)
    linked = Linked(f"{other.phone}:7@s.whatsapp.net", str(other.phone), None)
    assert running_writer.submit(held.id, 1, linked).result(20) is True
    assert Instance.objects.get(pk=held.pk).phone == other.phone


@pytest.mark.parametrize("verb", ["logout", "delete"])
def test_a_number_whose_link_is_being_removed_can_be_linked_elsewhere(
    alice: Person, held: Instance, running_writer: Writer, make_instance: MakeInstance, verb: str
) -> None:
    other = make_instance(alice)
    path = f"/api/instances/{other.id}"
    assert (alice.client.delete(path) if verb == "delete" else alice.client.post(f"{path}/logout")).status_code < 300
    Instance.objects.filter(pk=held.pk).update(**LINKING)
    linked = Linked(f"{other.phone}:7@s.whatsapp.net", str(other.phone), None)
    assert running_writer.submit(held.id, 1, linked).result(20) is True


def test_of_two_that_link_a_number_in_one_instant_the_second_is_refused(
    charlie: Person, held: Instance, running_writer: Writer, make_instance: MakeInstance
) -> None:
    first = make_instance(charlie, **LINKING)
    Instance.objects.filter(pk=held.pk).update(**LINKING)
    linked = Linked("15550100008:7@s.whatsapp.net", "15550100008", None)
    with transaction.atomic():
        row = Instance.objects.select_for_update().get(pk=first.pk)
        assert HANDLERS[Linked]([Item(row.id, 1, linked)], {row.id: row}).results == [True]
        second = running_writer.submit(held.id, 1, linked)
        wait_for(_waits_for_the_number)
        assert not second.done()
    assert second.result(20) is False
    refused = Instance.objects.get(pk=held.pk)
    assert (refused.reason, refused.wanted, refused.device_jid) == ("number_taken", "logged_out", linked.device_jid)
    assert Instance.objects.get(pk=first.pk).phone == "15550100008"


def _waits_for_the_number() -> bool:
    return connection.vendor != "postgresql" or somebody_waits_for_a_lock("advisory")
