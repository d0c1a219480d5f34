"""Whose instances one sees: every route, every stranger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from conftest import Person, assert_problem
from instances.models import Instance
from webhooks.models import Event

pytestmark = pytest.mark.django_db
ROUTES = [
    ("get", ""),
    ("get", "/qr"),
    ("get", "/pairing-code"),
    ("post", "/connect"),
    ("post", "/stop"),
    ("post", "/pairing-code"),
]
UNKNOWN = "ins_01h455vb4pex5vsknk084sn02q"
GARBAGE = ["garbage", "ins_", "ins_" + "z" * 26, UNKNOWN.upper(), UNKNOWN.replace("ins", "org"), "%00", "%FF"]


def call(client: APIClient, method: str, instance_id: str, path: str) -> Any:
    body = {"phone": "15550100009"} if method == "post" and path == "/pairing-code" else None
    return getattr(client, method)(f"/api/instances/{instance_id}{path}", body, format="json")


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_foreign_id_is_the_same_as_a_missing_and_a_broken_one(
    charlie: Person, instance: Instance, method: str, path: str
) -> None:
    bodies = []
    for instance_id in [instance.id, UNKNOWN, *GARBAGE]:
        body = assert_problem(call(charlie.client, method, instance_id, path), 404, "not_found")
        del body["request_id"]
        bodies.append(body)
    assert all(body == bodies[0] for body in bodies)
    assert not Event.objects.exists()


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    ("mode", "network", "code"), [("test", "whatsapp", "test_key_on_live"), ("live", "sandbox", "live_key_on_sandbox")]
)
def test_a_key_of_the_other_mode_is_told_so(
    alice: Person, make_instance: Callable[..., Instance], method: str, path: str, mode: str, network: str, code: str
) -> None:
    other = make_instance(alice, network=network)
    assert_problem(call(alice.program(mode=mode), method, other.id, path), 403, code)


@pytest.mark.parametrize(("mode", "network"), [("test", "sandbox"), ("live", "whatsapp")])
def test_a_key_lists_the_instances_of_its_mode(
    alice: Person, make_instance: Callable[..., Instance], mode: str, network: str
) -> None:
    own = {name: make_instance(alice, network=name) for name in ("sandbox", "whatsapp")}[network]
    rows = alice.program(mode=mode).get("/api/instances").json()["results"]
    assert [row["id"] for row in rows] == [own.id]


def test_everybody_lists_their_own(alice: Person, charlie: Person, make_instance: Callable[..., Instance]) -> None:
    first, second, _ = make_instance(alice), make_instance(alice, network="whatsapp"), make_instance(charlie)
    rows = alice.client.get("/api/instances").json()["results"]
    assert [row["id"] for row in rows] == [second.id, first.id]


def test_an_instance_tells_its_state_and_what_to_do_about_it(alice: Person, instance: Instance) -> None:
    body = alice.client.get(f"/api/instances/{instance.id}").json()
    assert (body["state"], body["reason"], body["reason_text"]) == ("connected", "online", "The number is online.")
    assert (body["phone"], body["jid"]) == (instance.phone, f"{instance.phone}@s.whatsapp.net")
    assert body["since"].endswith("Z")
