from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from conftest import Person, assert_problem
from phones.models import VirtualPhone
from phones.tests.numbers import new_number

pytestmark = pytest.mark.django_db
Sandbox = Callable[..., Any]


def create(person: Person, phone: Any, name: Any = "Carla") -> Any:
    return person.client.post("/api/sandbox/phones", {"phone": phone, "name": name}, format="json")


def test_a_new_phone_is_on_the_network_of_its_organization(alice: Person, sandbox: Sandbox) -> None:
    number = new_number()
    answer = create(alice, f"+{number}")
    assert answer.status_code == 201
    assert answer.json().items() >= {"phone": number, "name": "Carla"}.items()
    assert [row["phone"] for row in sandbox("phones", realm=alice.organization.id)] == [number]


def test_creating_it_again_renames_it(alice: Person, sandbox: Sandbox) -> None:
    number = new_number()
    first, second = create(alice, number), create(alice, number, "Carl")
    assert second.status_code == 201
    assert (first.json()["id"], "Carl") == (second.json()["id"], second.json()["name"])
    assert [row["name"] for row in sandbox("phones", realm=alice.organization.id)] == ["Carl"]


def test_a_number_belongs_to_one_organization(alice: Person, charlie: Person, sandbox: Sandbox) -> None:
    number = new_number()
    create(alice, number)
    assert_problem(create(charlie, number, "Mine"), 409, "phone_taken")
    assert VirtualPhone.objects.get().name == "Carla"
    assert sandbox("phones", realm=charlie.organization.id) == []


def test_the_list_shows_the_phones_of_the_organization(alice: Person, charlie: Person, sandbox: Sandbox) -> None:
    numbers = [new_number() for _ in range(2)]
    for number in numbers:
        create(alice, number)
    rows = alice.client.get("/api/sandbox/phones").json()["results"]
    assert [row["phone"] for row in rows] == numbers[::-1]
    assert charlie.client.get("/api/sandbox/phones").json()["results"] == []


@pytest.mark.parametrize(
    ("phone", "name", "pointer"),
    [
        ("123", "Carla", "/phone"),
        ("carla", "Carla", "/phone"),
        (15550100002, "Carla", "/phone"),
        (None, "Carla", "/phone"),
        ("15550100002", "", "/name"),
        ("15550100002", 5, "/name"),
        ("15550100002", "x" * 101, "/name"),
    ],
)
def test_a_phone_that_cannot_be_is_refused(
    alice: Person, sandbox: Sandbox, phone: Any, name: Any, pointer: str
) -> None:
    body = assert_problem(create(alice, phone, name), 400, "invalid_request")
    assert body["errors"][0]["pointer"] == pointer
    assert not VirtualPhone.objects.exists()
