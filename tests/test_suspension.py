"""A subscription ends and is extended, on the running product."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from stack.paths import PROJECT, Paths
from stack.testing import RunningStack
from tests.product import Api, wait_for

pytestmark = [pytest.mark.end_to_end, pytest.mark.only_with("postgres")]


def set_end(stack: RunningStack, organization: str, until: str) -> None:
    command = [sys.executable, "manage.py", "set_plan", organization, "basic", f"--until={until}"]
    subprocess.run(command, cwd=PROJECT, env=stack.environ, check=True, capture_output=True)


def online(stack: RunningStack, number: str) -> bool:
    """What the network says: is the linked device of this number connected?"""
    transport = httpx.HTTPTransport(uds=str(Paths.of(stack.environ).sockets / "sandbox.sock"))
    with httpx.Client(transport=transport, base_url="http://sandbox", trust_env=False) as client:
        devices = client.post("/control/state", json={}).json()["result"]["accounts"][number]
    return any(device["connected"] for name, device in devices.items() if name != "0")


def test_the_numbers_of_an_ended_subscription_go_offline_and_come_back_without_a_scan(
    stack: RunningStack, owner: Api, acme: Api
) -> None:
    instance, number = acme.linked()
    carla = acme.phone("Carla")
    organization = owner.get("/auth/me")["organization"]["id"]
    assert online(stack, number)

    end = datetime.now(UTC) + timedelta(seconds=2)
    set_end(stack, organization, end.isoformat())
    shown = acme.wait_for_state(instance, "stopped", 20)
    assert shown["reason"] == "organization_suspended"
    wait_for(lambda: not online(stack, number), 10, "the number to go offline")
    assert datetime.now(UTC) - end < timedelta(seconds=15)
    body = {"instance": instance, "to": carla, "text": {"body": "Too late"}}
    # A process may know the key of an active organization for another second.
    wait_for(lambda: acme.http.post("/api/messages", json=body).json()["code"] == "organization_suspended", 3)
    assert owner.get("/subscription")["state"] == "expired"

    set_end(stack, organization, "never")
    acme.wait_for_state(instance, "connected", 30)
    assert online(stack, number)
    acme.send(instance, carla, "Here we are again")
    wait_for(lambda: [m["text"] for m in acme.received(carla)] == ["Here we are again"])
