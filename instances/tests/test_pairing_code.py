from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from conftest import Person, assert_problem
from instances.models import Instance
from webhooks.models import Event

pytestmark = pytest.mark.django_db


@pytest.fixture
def unlinked(alice: Person, make_instance: Callable[..., Instance]) -> Instance:
    return make_instance(alice, wanted="stopped", state="created", reason="new", phone=None, device_jid=None)


def ask(person: Person, instance: Instance, phone: Any) -> Any:
    return person.client.post(f"/api/instances/{instance.id}/pairing-code", {"phone": phone}, format="json")


@pytest.mark.parametrize("phone", ["15550100009", "+1 (555) 010-0009", "+1.555.010.0009"])
def test_asking_for_a_code_connects(alice: Person, unlinked: Instance, phone: str) -> None:
    answer = ask(alice, unlinked, phone)
    assert answer.status_code == 202
    assert answer.json() == {"phone": "15550100009", "code": None}
    unlinked.refresh_from_db()
    assert (unlinked.wanted, unlinked.state, unlinked.link_phone) == ("connected", "linking", "15550100009")


def test_the_code_is_read_when_it_is_there(alice: Person, unlinked: Instance) -> None:
    ask(alice, unlinked, "15550100009")
    Instance.objects.update(pairing_code="ABCD-1234")
    answer = alice.client.get(f"/api/instances/{unlinked.id}/pairing-code")
    assert answer.json() == {"phone": "15550100009", "code": "ABCD-1234"}


def test_asking_again_drops_the_old_code(alice: Person, unlinked: Instance) -> None:
    ask(alice, unlinked, "15550100009")
    Instance.objects.update(pairing_code="ABCD-1234")
    assert ask(alice, unlinked, "15550100008").json() == {"phone": "15550100008", "code": None}


def test_a_linked_number_needs_no_code(alice: Person, instance: Instance) -> None:
    assert_problem(ask(alice, instance, "15550100009"), 409, "instance_already_linked")
    instance.refresh_from_db()
    assert instance.link_phone is None
    assert not Event.objects.exists()


@pytest.mark.parametrize(
    "phone", ["", "12345", "0155501000", "call me", "1" * 16, "1" * 41, 15550100009, None, "\u0661" * 8]
)
def test_what_is_no_phone_number_is_refused(alice: Person, unlinked: Instance, phone: Any) -> None:
    body = assert_problem(ask(alice, unlinked, phone), 400, "invalid_request")
    assert body["errors"][0]["pointer"] == "/phone"
    unlinked.refresh_from_db()
    assert unlinked.state == "created"
