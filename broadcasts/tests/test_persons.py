"""What is kept of one person."""

from __future__ import annotations

import json
from typing import Any

import pytest

from broadcasts.models import OptOut, Recipient
from broadcasts.tests.conftest import Make, feed, number, to
from conftest import Person
from instances.models import Instance
from messaging.contacts import services

pytestmark = pytest.mark.django_db


def test_what_was_meant_for_a_person_is_exported_and_erased(alice: Person, make: Make, instance: Instance) -> None:
    make(recipients=to(1, 2, name="Carla"))
    feed()
    alice.client.post("/api/opt-outs", {"to": number(1), "network": "sandbox"}, format="json")
    address = f"/api/contacts/{number(1)}"

    def exported() -> dict[str, Any]:
        answer = alice.client.get(f"{address}/export?instance={instance.id}")
        lines = map(json.loads, answer.getvalue().decode().splitlines())
        return {line["kind"]: line["data"] for line in lines}

    assert exported()["recipient"]["variables"] == {"name": "Carla"}
    erasure = alice.client.delete(f"{address}?instance={instance.id}").json()
    services.go_on(erasure_id=erasure["id"])
    assert exported().keys() == {"opt_out"}
    assert [row.to for row in Recipient.objects.all()] == [f"{number(2)}@s.whatsapp.net"]
    assert OptOut.objects.get().phone == number(1)
