from __future__ import annotations

from typing import Any

import pytest

from conftest import Person, assert_problem
from instances.models import Instance
from instances.states import State, Wanted
from webhooks.models import Event

pytestmark = pytest.mark.django_db
BODY = {"name": "Support", "network": "sandbox"}


def create(client: Any, **fields: Any) -> Any:
    return client.post("/api/instances", BODY | fields, format="json")


def test_a_new_instance_is_not_linked_and_not_wanted(alice: Person) -> None:
    answer = create(alice.client)
    assert answer.status_code == 201
    body = answer.json()
    assert body["id"].startswith("ins_")
    assert (body["name"], body["network"], body["state"], body["wanted"]) == (
        "Support",
        "sandbox",
        "created",
        "stopped",
    )
    assert (body["jid"], body["phone"], body["lid"]) == (None, None, None)
    row = Instance.objects.get(pk=body["id"])
    assert (row.organization_id, row.state, row.wanted) == (alice.organization.id, State.CREATED, Wanted.STOPPED)


def test_its_creation_is_its_first_event(alice: Person) -> None:
    instance_id = create(alice.client).json()["id"]
    event = Event.objects.get(instance_id=instance_id)
    assert (event.type, event.sequence, event.data["id"]) == ("instance.created", 1, instance_id)


@pytest.mark.parametrize(("mode", "network"), [("test", "sandbox"), ("live", "whatsapp")])
def test_a_key_makes_instances_of_its_mode(alice: Person, mode: str, network: str) -> None:
    assert create(alice.program(mode=mode), network=network).json()["network"] == network


@pytest.mark.parametrize(
    ("mode", "network", "code"), [("test", "whatsapp", "test_key_on_live"), ("live", "sandbox", "live_key_on_sandbox")]
)
def test_a_key_makes_none_of_the_other_mode(alice: Person, mode: str, network: str, code: str) -> None:
    assert_problem(create(alice.program(mode=mode), network=network), 403, code)
    assert not Instance.objects.exists()
    assert not Event.objects.exists()


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"network": "telegram"}, "/network"),
        ({"network": None}, "/network"),
        ({"network": ["sandbox"]}, "/network"),
        ({"name": ""}, "/name"),
        ({"name": "x" * 101}, "/name"),
        ({"state": "connected"}, "/state"),
    ],
)
def test_an_instance_that_cannot_be_is_refused(alice: Person, fields: dict[str, Any], pointer: str) -> None:
    body = assert_problem(create(alice.client, **fields), 400, "invalid_request")
    assert body["errors"][0]["pointer"] == pointer
    assert not Instance.objects.exists()
