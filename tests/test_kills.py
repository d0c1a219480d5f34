"""Processes are killed in the middle of 200 messages; each message arrives, and none twice."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from stack.testing import RunningStack
from tests.product import Api, wait_for

pytestmark = pytest.mark.end_to_end
MESSAGES = 200
_AWAY = ("unavailable", "starting", "interrupted")  # of what may be asked again under the same key


def _send_until_accepted(shop: Api, instance: str, to: str, text: str) -> str:
    """Send as a careful client does: again under the same key until there is an answer."""
    deadline = time.monotonic() + 30
    body = {"instance": instance, "to": to, "text": {"body": text}}
    while True:
        assert time.monotonic() < deadline
        try:
            answer = shop.http.post("/api/messages", json=body, headers={"Idempotency-Key": f"{instance} {text}"})
            if answer.status_code == 202:
                return str(answer.json()["id"])
            assert answer.json()["code"] in _AWAY, answer.text
        except httpx.TransportError:
            pass  # nobody knows whether it was accepted; the key makes it safe to ask again
        time.sleep(0.1)


@pytest.mark.only_with("sqlite")  # with PostgreSQL: test_a_full_lane_of_every_kind_survives_a_kill
@pytest.mark.parametrize("victim", ["sessions-sandbox-1", "valkey", "web"])
def test_all_messages_arrive_once_although_a_process_is_killed(stack: RunningStack, acme: Api, victim: str) -> None:
    instance, _ = acme.linked()
    carla = acme.phone("Carla")
    texts = [f"message {number}" for number in range(MESSAGES)]
    sent = {}
    for number, text in enumerate(texts):
        sent[_send_until_accepted(acme, instance, carla, text)] = text
        if number == MESSAGES // 2:
            stack.wait_for_restart(victim, stack.kill(victim))

    def settled() -> Counter[str]:
        states = Counter(m["status"] for m in acme.messages(instance=instance))
        return Counter() if states["queued"] or states["sending"] else states

    states = wait_for(settled, 60, "the lane to be empty")
    unconfirmed = {m["text"]["body"] for m in acme.messages(instance=instance) if m["status"] == "unconfirmed"}
    wait_for(lambda: len(acme.received(carla)) >= MESSAGES - len(unconfirmed), 30, f"arrivals ({states})")
    arrived = Counter(m["text"] for m in acme.received(carla))
    assert set(arrived.values()) == {1}
    # A kill between the library's last write to its store and the server's answer cannot be told apart from
    # one after it. The ledger says so of that one message; it is never sent again behind the user's back.
    assert set(texts) - set(arrived) <= unconfirmed
    assert len(unconfirmed) <= 1
    assert [m["text"] for m in acme.received(carla)] == [text for text in texts if text in arrived]
    assert len(sent) == MESSAGES
    assert acme.wait_for_state(instance, "connected")


def test_requests_in_flight_when_the_web_server_dies_are_accepted_once(stack: RunningStack, acme: Api) -> None:
    instance, _ = acme.linked()
    carla = acme.phone("Carla")

    accepted: list[str] = []

    def post(thread: int) -> None:
        api = Api(stack.address, acme.credential)
        accepted.extend(_send_until_accepted(api, instance, carla, f"{thread}.{number}") for number in range(25))

    with ThreadPoolExecutor(8) as threads:
        posting = [threads.submit(post, thread) for thread in range(8)]
        wait_for(lambda: len(accepted) > 20, 30, "the first messages")
        stack.wait_for_restart("web", stack.kill("web"))
        for future in posting:
            future.result()
    assert len(set(accepted)) == 200
    assert {message["id"] for message in acme.messages(instance=instance)} == set(accepted)
    wait_for(lambda: len(acme.received(carla)) >= 200, 60, "arrivals")
    assert set(Counter(message["text"] for message in acme.received(carla)).values()) == {1}
