from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from conftest import Person, assert_problem
from phones.tests.numbers import new_number


@pytest.mark.django_db
def test_a_phone_rings_another_until_it_hangs_up(
    alice: Person, rita: Person, charlie: Person, sandbox: Callable[..., Any]
) -> None:
    carla, carl = new_number(), new_number()
    for number in (carla, carl):
        alice.client.post("/api/sandbox/phones", {"phone": number, "name": "Carla"}, format="json")
    path = f"/api/sandbox/phones/{carla}/calls"
    assert_problem(rita.client.post(path, {"to": carl}, format="json"), 403, "permission_denied")
    assert_problem(charlie.client.post(path, {"to": carl}, format="json"), 404, "not_found")
    assert_problem(alice.client.post(path, {"to": new_number()}, format="json"), 422, "not_on_whatsapp")
    call = alice.client.post(path, {"to": carl, "video": True}, format="json").json()["id"]
    (made,) = rita.client.get(path).json()["results"]
    assert (made["id"], made["outgoing"], made["video"], made["status"]) == (call, True, True, "ringing")
    for _ in range(2):
        assert alice.client.delete(f"{path}/{call}").status_code == 204
    (got,) = alice.client.get(f"/api/sandbox/phones/{carl}/calls").json()["results"]
    assert (got["id"], got["outgoing"], got["status"]) == (call, False, "ended")
