"""A process is killed while messages and receipts come in; what was lost and doubled is counted."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from stack.testing import RunningStack
from tests.product import Api, Control, wait_for, wait_until_answered

pytestmark = [pytest.mark.end_to_end, pytest.mark.only_with("postgres")]
SESSIONS = "sessions-sandbox-1"
MESSAGES, WRITTEN_AT_ONCE = 300, 50
# What the library has confirmed to WhatsApp while the thread that takes it over waits for a processor: usually nothing,
# a dozen where many processes want one; it was the channel's hundred before (docs/decisions/0014-journal.md).
IN_FLIGHT = 50


@pytest.mark.parametrize(("victim", "most_lost"), [(SESSIONS, IN_FLIGHT), ("valkey", 0), ("web", 0), ("postgres", 0)])
def test_a_burst_is_received_although_a_process_is_killed(
    stack: RunningStack, acme: Api, victim: str, most_lost: int, capsys: pytest.CaptureFixture[str]
) -> None:
    if victim not in stack.processes():
        pytest.skip(f"no {victim} of its own")
    instance, number = acme.linked()
    carla, control = acme.phone("Carla"), Control(stack)
    bodies = [
        {"instance": instance, "to": carla, "type": "text", "text": {"body": f"to be read {place}"}}
        for place in range(WRITTEN_AT_ONCE)
    ]
    acme.post("/messages/batch", {"messages": bodies}, expect=202)
    wait_for(lambda: _statuses(acme, instance)["delivered"] == WRITTEN_AT_ONCE, 60, "all delivered")
    ours = [message["wa_id"] for message in acme.messages(instance=instance)]

    def write(place: int) -> str:
        if place % 3 == 0 and ours:
            control("mark_read", phone=carla, id=ours.pop())
        return str(control("send_text", phone=carla, to=number, text=f"burst {place}")["id"])

    with ThreadPoolExecutor(1) as phone:
        writing = [phone.submit(write, place) for place in range(MESSAGES)]
        wait_for(lambda: sum(one.done() for one in writing) > MESSAGES // 4, 60, "a quarter of the burst")
        stack.wait_for_restart(victim, stack.kill(victim))
        sent = [one.result() for one in writing]
    wait_until_answered(acme)
    last = str(control("send_text", phone=carla, to=number, text="the last one")["id"])

    wait_for(lambda: _received(acme, instance)[last], 120, lambda: acme.get(f"/instances/{instance}"))
    deadline = time.monotonic() + 5
    while set(sent) - set(_received(acme, instance)) and time.monotonic() < deadline:
        time.sleep(0.5)  # what was not confirmed is delivered again
    found = _received(acme, instance)
    lost, doubled = len(set(sent) - set(found)), sum(count - 1 for count in found.values())
    unread = _statuses(acme, instance)["delivered"]
    with capsys.disabled():
        print(
            f"\n{victim} killed in a burst: of {MESSAGES} messages {lost} lost, {doubled} doubled;"
            f" of {WRITTEN_AT_ONCE} receipts {unread} lost"
        )
    assert doubled == 0
    assert lost + unread <= most_lost


def _messages(acme: Api, instance: str, direction: str) -> list[dict[str, Any]]:
    """Empty while nobody answers."""
    try:
        return acme.messages(instance=instance, direction=direction)
    except (httpx.TransportError, AssertionError):
        return []


def _received(acme: Api, instance: str) -> Counter[str]:
    return Counter(row["wa_id"] for row in _messages(acme, instance, "inbound"))


def _statuses(acme: Api, instance: str) -> Counter[str]:
    return Counter(row["status"] for row in _messages(acme, instance, "outbound"))
