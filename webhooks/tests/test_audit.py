from __future__ import annotations

import pytest

from audit.models import Entry
from conftest import Person

pytestmark = pytest.mark.django_db
URL = "http://127.0.0.1:9/hook?token=planted-secret"


def test_what_is_done_to_an_endpoint_is_recorded_without_the_secrets_in_its_url(alice: Person) -> None:
    program = alice.program()
    made = program.post("/api/webhooks", {"url": URL, "events": ["*"]}, format="json").json()
    path = f"/api/webhooks/{made['id']}"
    program.patch(path, {"enabled": False, "events": ["*"]}, format="json")
    program.patch(path, {"url": "http://127.0.0.1:10/other?token=planted-secret"}, format="json")
    program.patch(path, {"enabled": False}, format="json")
    program.delete(path)
    rows = Entry.objects.filter(subject=made["id"]).order_by("sequence")
    assert [(row.tag, row.changes) for row in rows] == [
        ("api:webhook:created", {"events": ["*"], "host": "127.0.0.1:9"}),
        ("api:webhook:changed", {"enabled": [True, False]}),
        ("api:webhook:changed", {"host": ["127.0.0.1:9", "127.0.0.1:10"]}),
        ("api:webhook:deleted", {"host": "127.0.0.1:10"}),
    ]
    assert not any("planted" in str(row.changes) or made["secret"] in str(row.changes) for row in rows)
