from __future__ import annotations

import pytest

from accounts.models import Organization
from accounts.organizations import organization_resumed, organization_suspended, resume, suspend
from conftest import Person, assert_problem
from instances.models import Instance

pytestmark = pytest.mark.django_db
NEW_INSTANCE = {"name": "Sales", "network": "sandbox"}


def test_a_suspended_organization_reads_and_does_not_write(alice: Person) -> None:
    program = alice.program()
    assert program.post("/api/instances", NEW_INSTANCE, format="json").status_code == 201
    suspend(organization=alice.organization, reason="operator")
    for client in (alice.client, alice.program()):
        assert client.get("/api/instances").status_code == 200
        body = assert_problem(client.post("/api/instances", NEW_INSTANCE, format="json"), 403, "organization_suspended")
        assert body["reason"] == "operator"
        assert body["since"].endswith("Z")
    assert Instance.objects.count() == 1


def test_a_resumed_organization_writes_again(alice: Person) -> None:
    suspend(organization=alice.organization, reason="expired")
    resume(organization=alice.organization)
    assert alice.client.post("/api/instances", NEW_INSTANCE, format="json").status_code == 201


def test_suspending_and_resuming_tell_the_handlers_once(alice: Person) -> None:
    told: list[str] = []
    handlers = [(organization_suspended, "suspended"), (organization_resumed, "resumed")]
    for handler_list, word in handlers:
        handler_list.append(lambda organization, word=word: told.append(f"{organization.name} {word}"))
    try:
        assert suspend(organization=alice.organization, reason="operator")
        assert not suspend(organization=alice.organization, reason="expired")
        assert Organization.objects.get(pk=alice.organization.pk).suspended_reason == "operator"
        assert resume(organization=alice.organization)
        assert not resume(organization=alice.organization)
    finally:
        for handler_list, _ in handlers:
            handler_list.pop()
    assert told == ["Alice suspended", "Alice resumed"]
