from __future__ import annotations

import pytest

from accounts.models import KEY_SCOPES, ROLE_SCOPES, Permission, Role
from conftest import Person, assert_problem
from instances.models import Instance
from messaging.models import Message

pytestmark = pytest.mark.django_db
NEW_INSTANCE = {"name": "Sales", "network": "sandbox"}


def message(instance: Instance) -> dict[str, object]:
    return {"instance": instance.id, "to": "15550100002", "text": {"body": "hello"}}


def test_every_role_may_read(instance: Instance, alice: Person, bob: Person, rita: Person) -> None:
    for person in (alice, bob, rita):
        rows = person.client.get("/api/instances").json()["results"]
        assert [row["id"] for row in rows] == [instance.id]


def test_an_owner_manages(alice: Person) -> None:
    assert alice.client.post("/api/instances", NEW_INSTANCE, format="json").status_code == 201


def test_a_member_sends_and_does_not_manage(instance: Instance, bob: Person) -> None:
    assert bob.client.post("/api/messages", message(instance), format="json").status_code == 202
    needs = {"/api/instances": "manage", f"/api/instances/{instance.id}/stop": "manage", "/api/keys": "keys"}
    for path, scope in needs.items():
        body = assert_problem(bob.client.post(path, NEW_INSTANCE, format="json"), 403, "permission_denied")
        assert body["scope"] == scope
    assert Instance.objects.count() == 1


def test_a_viewer_does_not_send(instance: Instance, rita: Person) -> None:
    body = assert_problem(rita.client.post("/api/messages", message(instance), format="json"), 403, "permission_denied")
    assert body["scope"] == "send"
    assert not Message.objects.exists()


def test_every_role_has_its_scopes() -> None:
    assert set(ROLE_SCOPES) == set(Role.values)
    assert ROLE_SCOPES[Role.VIEWER] < ROLE_SCOPES[Role.MEMBER] < ROLE_SCOPES[Role.ADMIN] < ROLE_SCOPES[Role.OWNER]
    assert ROLE_SCOPES[Role.OWNER] - ROLE_SCOPES[Role.ADMIN] == {"billing", "own"}
    assert not KEY_SCOPES & set(Permission.values)
