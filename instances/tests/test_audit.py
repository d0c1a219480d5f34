from __future__ import annotations

from typing import Any

import pytest

from audit.models import Entry
from conftest import Person
from instances.holding.handlers import HANDLERS, Linked
from instances.holding.writer import Item
from instances.models import Instance
from instances.states import State, Wanted

pytestmark = pytest.mark.django_db


def acts(instance_id: str) -> list[tuple[str, Any]]:
    rows = Entry.objects.filter(subject=instance_id).order_by("sequence")
    return [(row.tag, row.changes) for row in rows]


def test_what_is_done_to_an_instance_is_recorded_once(alice: Person) -> None:
    program = alice.program()
    made = program.post("/api/instances", {"name": "Support", "network": "sandbox"}, format="json").json()["id"]
    for verb in ("connect", "connect", "stop", "stop"):
        program.post(f"/api/instances/{made}/{verb}")
    program.post(f"/api/instances/{made}/pairing-code", {"phone": "15550100001"}, format="json")
    assert acts(made) == [
        ("api:instance:created", {"name": "Support", "network": "sandbox"}),
        ("api:instance:started", {}),
        ("api:instance:stopped", {}),
        ("api:instance:started", {}),
        ("api:instance:pairing_code_requested", {"phone": "15550100001"}),
    ]
    assert {row.organization_id for row in Entry.objects.filter(subject=made)} == {alice.organization.id}


def test_a_link_is_recorded_with_both_numbers(instance: Instance) -> None:
    instance.state, instance.wanted, instance.phone = State.LINKING, Wanted.CONNECTED, "15550100001"
    item = Item(instance.id, instance.epoch, Linked("15550100002:1@s.whatsapp.net", "15550100002", None))
    HANDLERS[Linked]([item], {instance.id: instance})
    assert acts(instance.id) == [("command:instance:linked", {"phone": ["15550100001", "15550100002"]})]
