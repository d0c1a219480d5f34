"""Twenty numbers on one worker."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from stack.testing import RunningStack
from tests.product import Api, wait_for

pytestmark = pytest.mark.end_to_end
NUMBERS, ROUNDS = 20, 5


def test_twenty_numbers_are_linked_at_once_and_lose_nothing_in_a_ring(
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

    wait_for(lambda: sum(len(inbound(one)) for one, _ in linked) >= NUMBERS * ROUNDS, 60, "all messages")
    for instance, _ in linked:
        assert inbound(instance) == [f"turn {turn}" for turn in range(ROUNDS)]
    wait_for(lambda: Counter(m["status"] for m in acme.messages())["delivered"] == NUMBERS * ROUNDS, 60)
    assert stack.processes()["sessions-sandbox-1"] == worker
