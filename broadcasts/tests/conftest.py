from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from broadcasts import feeding
from broadcasts.models import Broadcast
from conftest import Person
from instances.models import Instance

HELLO = {"type": "text", "text": {"body": "Hello {{name|there}}"}}
Make = Callable[..., dict[str, Any]]


def number(serial: int) -> str:
    """One of the made-up phone numbers."""
    return f"1555020{serial:04}"


def to(*serials: int, **variables: str) -> list[dict[str, Any]]:
    """Recipients."""
    return [{"to": number(serial), "variables": variables} for serial in serials]


@pytest.fixture
def make(alice: Person, instance: Instance) -> Make:
    """Posts a broadcast to three people through Alice's instance, with other fields if some are given."""

    def make(person: Person = alice, **fields: Any) -> dict[str, Any]:
        body = {"message": HELLO, "recipients": to(1, 2, 3)} | fields
        if "instances" not in body:
            body["instance"] = instance.id
        body = {name: value for name, value in body.items() if value is not None}
        answer = person.client.post("/api/broadcasts", body, format="json")
        assert answer.status_code == 202, answer.content
        found: dict[str, Any] = answer.json()
        return found

    return make


def feed(broadcast_id: str | None = None) -> None:
    """Every broadcast that is due, or this one at once, has its turn, once."""
    if broadcast_id:
        Broadcast.objects.filter(pk=broadcast_id, next_at__isnull=False).update(next_at="2020-01-01T00:00:00Z")
    feeding.turns()
