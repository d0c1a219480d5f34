"""Twenty numbers on one worker."""

from __future__ import annotations

from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor

import pytest

from stack.testing import RunningStack
from tests.product import Api, wait_for

pytestmark = [pytest.mark.end_to_end, pytest.mark.only_with("postgres")]
NUMBERS, ROUNDS, MESSAGES, BATCH = 20, 5, 1000, 500


def test_twenty_numbers_are_linked_at_once_and_lose_nothing_in_a_ring_nor_of_a_batch(
    stack: RunningStack, owner: Api, acme: Api
) -> None:
    owner.call("PATCH", "/subscription", 200, json={"plan": "pro"})
    worker = stack.processes()["sessions-sandbox-1"]
    with ThreadPoolExecutor(NUMBERS) as pool:
        linked = list(pool.map(lambda _: acme.linked(), range(NUMBERS)))
    for turn in range(ROUNDS):
        for place, (instance, _) in enumerate(linked):
            acme.send(instance, linked[(place + 1) % NUMBERS][1], f"turn {turn}")

    def inbound(instance: str) -> list[str]:
        rows = acme.messages(instance=instance)
        return [m["text"]["body"] for m in reversed(rows) if m["direction"] == "inbound"]

    everybodys = NUMBERS * ROUNDS
    wait_for(lambda: Counter(m["direction"] for m in acme.messages())["inbound"] >= everybodys, 60, "all messages")
    for instance, _ in linked:
        assert inbound(instance) == [f"turn {turn}" for turn in range(ROUNDS)]
    wait_for(lambda: Counter(m["status"] for m in acme.messages())["delivered"] == everybodys, 60)

    carla = acme.phone("Carla")
    bodies = [
        {"instance": instance, "to": carla, "type": "text", "text": {"body": f"{place}/{number}"}}
        for number in range(MESSAGES // NUMBERS)
        for place, (instance, _) in enumerate(linked)
    ]
    for start in range(0, MESSAGES, BATCH):
        results = acme.post("/messages/batch", {"messages": bodies[start : start + BATCH]}, expect=202)["results"]
        assert {result["status"] for result in results} == {202}
    wait_for(lambda: not acme.get("/messages", status="queued", limit=1)["results"], 120, "the lanes to be empty")
    wait_for(lambda: len(acme.received(carla)) >= MESSAGES, 30, "all messages at Carla's phone")
    arrived: dict[str, list[int]] = defaultdict(list)
    for message in acme.received(carla):
        sender, _, number = message["text"].partition("/")
        arrived[sender].append(int(number))
    assert arrived == {str(place): list(range(MESSAGES // NUMBERS)) for place in range(NUMBERS)}
    assert stack.processes()["sessions-sandbox-1"] == worker
