"""Scanning and typing codes, up to the network; the rest is a real client's part, tried end to end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from conftest import Person, assert_problem
from instances.models import Instance
from phones.models import VirtualPhone
from phones.tests.numbers import new_number

pytestmark = pytest.mark.django_db


@pytest.fixture
def number(alice: Person, sandbox: Callable[..., Any]) -> str:
    """The number of Alice's virtual phone."""
    number = new_number()
    alice.client.post("/api/sandbox/phones", {"phone": number, "name": "Carla"}, format="json")
    return number


def scan(person: Person, number: str, instance: Instance) -> Any:
    return person.client.post(f"/api/sandbox/phones/{number}/scan", {"instance": instance.id}, format="json")


def linking(**columns: Any) -> dict[str, Any]:
    shown = {"qr_code": "2@garbage", "qr_expires_at": timezone.now() + timedelta(seconds=20)}
    return {"state": "linking", "phone": None, "device_jid": None} | shown | columns


def test_without_a_code_there_is_nothing_to_scan(alice: Person, number: str, instance: Instance) -> None:
    assert "connected" in assert_problem(scan(alice, number, instance), 409, "no_qr")["detail"]


def test_scanning_again_changes_nothing(alice: Person, number: str, make_instance: Callable[..., Instance]) -> None:
    linked = make_instance(alice, phone=number, device_jid=f"{number}:1@s.whatsapp.net")
    assert scan(alice, number, linked).status_code == 202


def test_an_expired_code_cannot_be_scanned(alice: Person, number: str, make_instance: Callable[..., Instance]) -> None:
    late = make_instance(alice, **linking(qr_expires_at=timezone.now() - timedelta(seconds=1)))
    assert_problem(scan(alice, number, late), 409, "no_qr")


def test_a_real_number_cannot_be_linked_to_a_virtual_phone(
    alice: Person, number: str, make_instance: Callable[..., Instance]
) -> None:
    assert_problem(scan(alice, number, make_instance(alice, **linking(network="whatsapp"))), 409, "no_qr")


def test_what_the_network_refuses_is_a_problem_of_the_request(
    alice: Person, number: str, make_instance: Callable[..., Instance]
) -> None:
    assert_problem(scan(alice, number, make_instance(alice, **linking())), 400, "invalid_request")


def test_a_code_that_nobody_waits_for_is_refused(alice: Person, number: str) -> None:
    path = f"/api/sandbox/phones/{number}/enter-code"
    assert_problem(alice.client.post(path, {"code": "ABCD-1234"}, format="json"), 409, "no_pairing")


def ask_code(person: Person, number: str, instance: Instance) -> int:
    path = f"/api/instances/{instance.id}/pairing-code"
    return int(person.client.post(path, {"phone": number}, format="json").status_code)


def test_who_asks_for_a_pairing_code_finds_phones_that_the_network_does_not_know_yet(
    alice: Person, sandbox: Callable[..., Any], make_instance: Callable[..., Instance]
) -> None:
    number, new = new_number(), make_instance(alice, **linking())
    VirtualPhone.objects.create(organization=alice.organization, phone=number, name="Carla")
    assert ask_code(alice, number, new) == 202
    assert [one["phone"] for one in sandbox("phones", realm=alice.organization.id)] == [number]


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # the HTTP library drops a socket that cannot connect
def test_a_network_that_is_away_is_no_matter_of_who_asks_for_a_pairing_code(
    alice: Person, away: None, make_instance: Callable[..., Instance]
) -> None:
    row = VirtualPhone.objects.create(organization=alice.organization, phone=new_number(), name="Carla")
    assert ask_code(alice, row.phone, make_instance(alice, **linking())) == 202


@pytest.mark.parametrize("body", [{}, {"code": ""}, {"code": 5}, {"code": "x" * 21}, {"code": "A", "x": 1}])
def test_what_is_no_code_is_refused(alice: Person, number: str, body: dict[str, Any]) -> None:
    path = f"/api/sandbox/phones/{number}/enter-code"
    assert_problem(alice.client.post(path, body, format="json"), 400, "invalid_request")
