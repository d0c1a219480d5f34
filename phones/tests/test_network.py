from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import Settings

from conftest import Person, assert_problem
from phones import network
from phones.models import VirtualPhone
from phones.tests.numbers import new_number

pytestmark = [
    pytest.mark.django_db,
    # The HTTP library drops a socket that cannot connect.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


@pytest.fixture
def phone(alice: Person) -> VirtualPhone:
    return VirtualPhone.objects.create(organization=alice.organization, phone=new_number(), name="Carla")


def calls(person: Person, phone: VirtualPhone) -> list[Any]:
    path = f"/api/sandbox/phones/{phone.phone}"
    return [
        person.client.post("/api/sandbox/phones", {"phone": phone.phone, "name": "Carla"}, format="json"),
        person.client.post(f"{path}/enter-code", {"code": "ABCD-1234"}, format="json"),
        person.client.post(f"{path}/messages", {"to": "15550100002", "text": "hello"}, format="json"),
        person.client.get(f"{path}/messages"),
        person.client.post(f"{path}/messages/1/read"),
    ]


def test_a_network_that_is_away_is_unavailable(alice: Person, phone: VirtualPhone, away: None) -> None:
    for answer in calls(alice, phone):
        assert_problem(answer, 503, "sandbox_unavailable")


def test_an_installation_without_a_network_says_so(alice: Person, phone: VirtualPhone, settings: Settings) -> None:
    settings.SANDBOX_ENABLED = False
    for answer in calls(alice, phone):
        assert "no sandbox" in assert_problem(answer, 503, "sandbox_unavailable")["detail"]


def test_the_list_does_not_need_the_network(alice: Person, phone: VirtualPhone, away: None) -> None:
    assert [row["id"] for row in alice.client.get("/api/sandbox/phones").json()["results"]] == [phone.id]


def test_a_phone_created_while_the_network_was_away_can_be_created_again(
    alice: Person, phone: VirtualPhone, sandbox: Callable[..., Any]
) -> None:
    assert calls(alice, phone)[0].status_code == 201


def test_health_tells_of_the_network(sandbox: Callable[..., Any], settings: Settings) -> None:
    assert network.check() == {"ok": True}
    settings.SANDBOX_ENABLED = False
    assert network.check() == {"ok": True, "detail": "Switched off."}


def test_health_tells_that_the_network_is_away(away: None) -> None:
    assert network.check() == {"ok": False, "detail": "The sandbox network is not available now."}
