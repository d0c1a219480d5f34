"""A live session worker: no overlay, no internet here, and still well."""

from __future__ import annotations

from pathlib import Path

import pytest

from stack.testing import RunningStack
from tests.product import Api

pytestmark = [pytest.mark.end_to_end, pytest.mark.only_with("postgres")]


@pytest.fixture(autouse=True)
def _there(stack: RunningStack) -> None:
    if "sessions-whatsapp-1" not in stack.processes():
        pytest.skip("started with PostgreSQL only")


def _environ(pid: int) -> dict[str, str]:
    entries = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def test_only_sandbox_workers_see_the_overlay(stack: RunningStack) -> None:
    processes = stack.processes()
    live = _environ(processes["sessions-whatsapp-1"]["pid"])
    sandbox = _environ(processes["sessions-sandbox-1"]["pid"])
    assert "neonize" in sandbox["PYTHONPATH"]
    assert "neonize" not in live.get("PYTHONPATH", "")
    assert live.get("SSL_CERT_FILE") != sandbox["SSL_CERT_FILE"]
    assert live["NEONIZE_BOT_TAG"] == sandbox["NEONIZE_BOT_TAG"] == "off"


def test_without_internet_a_live_instance_reconnects_for_a_stated_reason(stack: RunningStack, owner: Api) -> None:
    live = Api(stack.address, owner.key("live"))
    before = stack.processes()["sessions-whatsapp-1"]
    instance = live.instance("whatsapp")
    live.connect(instance)
    shown = live.wait_for_state(instance, "reconnecting")
    assert shown["reason"] == "network_unreachable"
    assert "web.whatsapp.com" in shown["detail"]
    live.post(f"/instances/{instance}/stop", expect=202)
    live.wait_for_state(instance, "stopped")
    assert stack.processes()["sessions-whatsapp-1"] == before


def test_a_test_key_cannot_touch_a_live_instance(stack: RunningStack, owner: Api, acme: Api) -> None:
    instance = owner.instance("whatsapp")
    assert acme.call("GET", f"/instances/{instance}", 403)["code"] == "test_key_on_live"
    refused = acme.post("/instances", {"name": "Real", "network": "whatsapp"}, expect=403)
    assert refused["code"] == "test_key_on_live"
    live = Api(stack.address, owner.key("live"))
    assert (
        live.post("/sandbox/phones", {"phone": "15550109999", "name": "X"}, expect=403)["code"] == "live_key_on_sandbox"
    )
