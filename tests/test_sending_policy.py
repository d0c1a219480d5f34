"""When messages leave, and what becomes of those that WhatsApp refuses: the real library at the simulated network."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from stack.paths import Paths
from stack.testing import RunningStack
from tests.product import Api, new_number, wait_for

pytestmark = [pytest.mark.end_to_end, pytest.mark.only_with("postgres")]


def faults(stack: RunningStack, phone: str, **asked: Any) -> None:
    """What the simulated network does to the clients of this phone."""
    transport = httpx.HTTPTransport(uds=str(Paths.of(stack.environ).sockets / "sandbox.sock"))
    with httpx.Client(transport=transport, base_url="http://sandbox", timeout=30) as client:
        answer = client.post("/control/faults", json={"phone": phone} | asked)
    assert answer.status_code == 200, answer.text


def settings(api: Api, instance: str, **change: Any) -> None:
    api.call("PATCH", f"/instances/{instance}", 200, json={"settings": change})


def status_becomes(api: Api, message: str, status: str, seconds: float = 30) -> dict[str, Any]:
    return wait_for(lambda: (m := api.message(message))["status"] == status and m, seconds, f"{status} of {message}")


def texts(api: Api, phone: str) -> list[str]:
    return [one["text"] for one in api.received(phone)]


def test_cold_messages_wait_and_replies_pass_until_whatsapp_takes_them_again(stack: RunningStack, acme: Api) -> None:
    instance, number = acme.linked()
    settings(acme, instance, cold_contacts={"first_hold_seconds": 3, "longest_hold_seconds": 4})
    carla, strangers = acme.phone("Carla"), [acme.phone("Dora"), acme.phone("Emil")]
    acme.write(carla, number, "Hi")
    wait_for(lambda: acme.messages(instance=instance), what="Carla's message")
    faults(stack, number, cold_error=463)
    waiting = [acme.send(instance, stranger, f"{n} to {stranger}") for stranger in strangers for n in range(2)]
    for message in waiting:
        held = status_becomes(acme, message, "held")
        assert (held["error"]["code"], held["error"]["retryable"]) == ("cold_contact_refused", True)
    reply = acme.send(instance, carla, "Hello")
    wait_for(lambda: texts(acme, carla) == ["Hello"], what="the reply")
    shown = acme.get(f"/instances/{instance}")["cold_hold"]
    assert shown["waiting"] == 4
    wait_for(lambda: acme.get(f"/instances/{instance}")["cold_hold"]["until"] != shown["until"], what="a longer hold")
    faults(stack, number, cold_error=0)
    for message in waiting:
        assert status_becomes(acme, message, "delivered")["error"] is None
    assert [texts(acme, stranger) for stranger in strangers] == [
        [f"{n} to {stranger}" for n in range(2)] for stranger in strangers
    ]
    assert acme.get(f"/instances/{instance}")["cold_hold"] is None
    assert acme.message(reply)["status"] in ("sent", "delivered")


def test_who_writes_gets_what_was_held_for_them_at_once(stack: RunningStack, acme: Api) -> None:
    instance, number = acme.linked()
    dora = acme.phone("Dora")
    faults(stack, number, cold_error=463)
    message = acme.send(instance, dora, "Are you there?")
    status_becomes(acme, message, "held")
    acme.write(dora, number, "Hi")
    status_becomes(acme, message, "delivered")
    cancelled = acme.send(instance, acme.phone("Emil"), "Not you")
    status_becomes(acme, cancelled, "held")
    acme.call("DELETE", f"/messages/{cancelled}", 200)


def test_what_was_not_taken_is_tried_again_or_fails_with_a_code(stack: RunningStack, acme: Api) -> None:
    instance, number = acme.linked()
    carla = acme.phone("Carla")
    faults(stack, number, ack_error=479, ack_error_count=1)
    failed = status_becomes(acme, acme.send(instance, carla, "one"), "failed")
    assert (failed["error"]["code"], failed["error"]["retryable"]) == ("refused_by_whatsapp", False)
    faults(stack, number, ack_error=503, ack_error_count=2)
    first, second = acme.send(instance, carla, "two"), acme.send(instance, carla, "three")
    for message in (first, second):
        status_becomes(acme, message, "delivered")
    assert texts(acme, carla) == ["two", "three"]
    faults(stack, number, iq_errors={"usync": 503})
    dora = acme.phone("Dora")
    message = acme.send(instance, dora, "four")
    time.sleep(1)
    assert acme.message(message)["status"] in ("queued", "sending")
    faults(stack, number, iq_errors={"usync": 0})
    status_becomes(acme, message, "delivered")
    faults(stack, number, cut_before_ack=1)
    cut = acme.send(instance, carla, "five")
    status_becomes(acme, cut, "delivered", 60)
    assert texts(acme, carla) == ["two", "three", "five"]
    lost = status_becomes(acme, acme.send(instance, new_number(), "Anybody?"), "failed")
    assert lost["error"]["code"] == "not_on_whatsapp"


def test_a_message_leaves_at_its_time_and_after_its_typing(stack: RunningStack, acme: Api) -> None:
    instance, _ = acme.linked()
    carla = acme.phone("Carla")
    body = {"instance": instance, "to": carla, "text": {"body": "hello"}}
    due = datetime.now(UTC) + timedelta(seconds=3)
    scheduled = acme.post("/messages", body | {"send_at": due.isoformat()}, expect=202)["id"]
    later = acme.post("/messages", body | {"send_at": (due + timedelta(hours=1)).isoformat()}, expect=202)["id"]
    status_becomes(acme, acme.send(instance, carla, "now"), "delivered")
    status_becomes(acme, scheduled, "delivered")
    assert datetime.now(UTC) > due
    assert acme.message(later)["status"] == "scheduled"
    acme.call("DELETE", f"/messages/{later}", 200)

    before = time.monotonic()
    status_becomes(acme, acme.post("/messages", body | {"typing": 2}, expect=202)["id"], "delivered")
    assert time.monotonic() - before > 2
    typed = acme.post("/messages", body | {"typing": 60}, expect=202)["id"]
    time.sleep(1)
    assert acme.message(typed)["status"] == "queued"
    acme.call("DELETE", f"/messages/{typed}", 200)
    status_becomes(acme, acme.send(instance, carla, "after all"), "delivered", 10)

    settings(acme, instance, pacing={"min_gap_ms": 1000})
    before = time.monotonic()
    for message in [acme.send(instance, carla, str(n)) for n in range(4)]:
        status_becomes(acme, message, "delivered")
    assert time.monotonic() - before > 2
    settings(acme, instance, pacing={"min_gap_ms": 600_000})
    status_becomes(acme, acme.send(instance, carla, "a"), "delivered", 5)
    slow = acme.send(instance, carla, "b")
    settings(acme, instance, pacing=None)
    status_becomes(acme, slow, "delivered", 10)
