"""Two session workers share the numbers of one network."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator

import pytest

from stack.testing import RunningStack
from tests.product import Api, register, wait_for

pytestmark = [pytest.mark.end_to_end, pytest.mark.only_with("postgres")]


@pytest.fixture
def pair() -> Iterator[RunningStack]:
    with RunningStack({"SESSION_WORKERS": "2", "LEASE_SECONDS": "6"}) as stack:
        yield stack


def test_a_worker_that_was_frozen_gives_its_numbers_up_and_sends_nothing_twice(pair: RunningStack) -> None:
    acme = Api(pair.address, register(pair.address).key())
    linked = [acme.linked()[0] for _ in range(4)]
    carla = acme.phone("Carla")

    frozen = pair.kill("sessions-sandbox-1", signal.SIGSTOP)
    for instance in linked:
        acme.send(instance, carla, f"while one is frozen: {instance}")
    wait_for(lambda: len(acme.received(carla)) == len(linked), 40, "the other worker to take over")

    os.kill(frozen, signal.SIGCONT)
    wait_for(lambda: "lease_lost" in pair.logs("sessions-sandbox-1"), 20, "the frozen worker to notice")
    for instance in linked:
        acme.wait_for_state(instance, "connected")
        acme.send(instance, carla, f"after it: {instance}")
    wait_for(lambda: len(acme.received(carla)) == 2 * len(linked))
    assert set(Counter(message["text"] for message in acme.received(carla)).values()) == {1}
    assert pair.processes()["sessions-sandbox-1"]["pid"] == frozen
