"""The life of an instance on the running product: linked, logged out, linked again, behind a proxy, deleted."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from stack.paths import Paths
from stack.testing import RunningStack
from tests.product import Api, Control, wait_for
from tests.proxy import Proxy

pytestmark = [pytest.mark.end_to_end, pytest.mark.only_with("sqlite")]


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    proxy = Proxy("acme", "s3cret")
    yield proxy
    proxy.close()


def linked(stack: RunningStack, number: str) -> list[dict[str, Any]]:
    """The linked devices of a number, as the network knows them."""
    transport = httpx.HTTPTransport(uds=str(Paths.of(stack.environ).sockets / "sandbox.sock"))
    with httpx.Client(transport=transport, base_url="http://sandbox", trust_env=False) as client:
        devices = client.post("/control/state", json={}).json()["result"]["accounts"][number]
    return [device for name, device in devices.items() if name != "0"]


def links(stack: RunningStack, number: str) -> int:
    return len(linked(stack, number))


def has_keys(stack: RunningStack, instance: str) -> bool:
    return any(Paths.of(stack.environ).var.glob(f"sessions/{instance}.db*"))


def patch(acme: Api, instance: str, **settings: Any) -> dict[str, Any]:
    return dict(acme.call("PATCH", f"/instances/{instance}", 200, json={"settings": settings}))


def test_a_number_is_logged_out_and_linked_again_and_keeps_its_history(stack: RunningStack, acme: Api) -> None:
    instance, number = acme.linked()
    carla = acme.phone("Carla")
    acme.send(instance, carla, "before")
    wait_for(lambda: len(acme.received(carla)) == 1)
    assert (links(stack, number), has_keys(stack, instance)) == (1, True)

    acme.post(f"/instances/{instance}/restart", expect=202)
    wait_for(lambda: acme.get(f"/instances/{instance}")["reason"] == "online", 20, "the restart")

    acme.post(f"/instances/{instance}/logout", expect=202)
    shown = acme.wait_for_state(instance, "logged_out", 20)
    assert (shown["reason"], shown["phone"]) == ("logged_out_by_user", number)
    wait_for(lambda: links(stack, number) == 0, 5, "the link to go")
    assert not has_keys(stack, instance)

    acme.connect(instance)
    acme.scan(number, instance)
    acme.wait_for_state(instance, "connected")
    acme.send(instance, carla, "after")
    wait_for(lambda: len(acme.received(carla)) == 2)
    assert [m["text"]["body"] for m in acme.messages(instance=instance)] == ["after", "before"]
    reasons = [step["reason"] for step in acme.get(f"/instances/{instance}/history")["results"]]
    for reason in ("online", "linked", "logged_out_by_user", "logging_out", "restarted"):
        assert reason in reasons

    # Another instance cannot have the same number; its link is taken back at WhatsApp.
    second = acme.instance()
    acme.connect(second)
    wait_for(lambda: acme.state(second) == "linking" and acme.http.get(f"/api/instances/{second}/qr").is_success)
    acme.http.post(f"/api/sandbox/phones/{number}/scan", json={"instance": second})
    shown = wait_for(lambda: (one := acme.get(f"/instances/{second}"))["reason"] == "number_in_use" and one)
    assert instance in shown["detail"]
    wait_for(lambda: acme.get(f"/instances/{second}")["wanted"] == "stopped", 40, "the second link to be removed")
    wait_for(lambda: links(stack, number) == 1, 5, "one link to be left")
    assert acme.state(instance) == "connected"

    # Deleting it removes the link as well; its last event tells the end.
    assert acme.http.delete(f"/api/instances/{instance}").status_code == 204
    assert acme.http.get(f"/api/instances/{instance}").status_code == 404
    wait_for(lambda: links(stack, number) == 0, 20, "the link to go")
    wait_for(lambda: _last_event(acme, instance) == "instance.deleted", 30, "the row to go")
    assert not has_keys(stack, instance)
    assert acme.messages() == []


def _last_event(acme: Api, instance: str) -> str:
    events, after = [], ""
    while page := acme.get("/events", limit=100, **({"after": after} if after else {})):
        events += [event for event in page["results"] if event["instance"] == instance]
        if not page["results"]:
            break
        after = page["next"]
    return str(max(events, key=lambda event: event["sequence"])["type"])


def test_a_number_connects_through_its_proxy(stack: RunningStack, acme: Api, proxy: Proxy) -> None:
    phone, instance = acme.phone("Acme"), acme.instance()
    patch(acme, instance, proxy=f"http://acme:wrong@{proxy.where}")
    acme.connect(instance)
    wait_for(lambda: acme.get(f"/instances/{instance}")["reason"] == "proxy_unreachable", 30, "the refusal")
    assert proxy.targets == []
    shown = patch(acme, instance, proxy=f"http://acme:s3cret@{proxy.where}", device_name="Front desk", mark_online=True)
    assert shown["settings"]["proxy"] == f"http://acme:***@{proxy.where}"
    acme.scan(phone, instance)
    acme.wait_for_state(instance, "connected")
    assert len(proxy.targets) >= 2, "one for the link, one for the connection"
    wait_for(lambda: any(device["online"] for device in linked(stack, phone)), 20, "the number to be shown as online")
    assert [device["name"] for device in linked(stack, phone)] == ["Front desk"]
    assert "s3cret" not in stack.logs("sessions-sandbox-1")
    patch(acme, instance, proxy=f"http://acme:wrong@{proxy.where}")
    shown = wait_for(lambda: (one := acme.get(f"/instances/{instance}"))["reason"] == "proxy_unreachable" and one, 30)
    assert "wrong" not in shown["detail"]
    patch(acme, instance, proxy=None)
    acme.wait_for_state(instance, "connected", 60)


def test_a_worker_that_ends_while_it_logs_a_number_out_leaves_that_to_the_next(stack: RunningStack, acme: Api) -> None:
    instance, number = acme.linked()
    control, worker = Control(stack), "sessions-sandbox-1"
    control("faults", phone=number, login_failure={"reason": 503})
    control("drop", phone=number)
    acme.wait_for_state(instance, "reconnecting", 20)
    acme.post(f"/instances/{instance}/logout", expect=202)
    wait_for(lambda: _begun_to_unlink(stack.logs(worker), instance), 10, "the worker to begin")
    stack.wait_for_restart(worker, stack.kill(worker, signal.SIGTERM))
    control("faults", phone=number, login_failure={})
    shown = acme.wait_for_state(instance, "logged_out", 60)
    assert (shown["reason"], links(stack, number)) == ("logged_out_by_user", 0)


def _begun_to_unlink(log: str, instance: str) -> bool:
    return any("unlinking" in line and instance in line for line in log.splitlines())
