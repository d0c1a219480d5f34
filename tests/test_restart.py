"""Everything stops in order and comes back with its data."""

from __future__ import annotations

import signal
import time

import pytest

from stack.testing import RunningStack
from tests.product import Api, wait_for

pytestmark = pytest.mark.end_to_end


@pytest.mark.only_with("sqlite")  # the other database is a server's, which goes on
def test_a_second_start_finds_the_linked_number_and_all_that_was_written(stack: RunningStack, acme: Api) -> None:
    instance, number = acme.linked()
    carla = acme.phone("Carla")
    first = acme.send(instance, carla, "before")
    wait_for(lambda: acme.message(first)["status"] == "delivered")
    assert stack.stop() == 0

    stack.start()
    acme.wait_for_state(instance, "connected")
    acme.write(carla, number, "after")
    rows = wait_for(lambda: len(found := acme.messages(instance=instance)) == 2 and found)
    assert [m["text"]["body"] for m in rows] == ["after", "before"]
    assert acme.send(instance, carla, "again")
    wait_for(lambda: len(acme.received(carla)) == 2)


@pytest.mark.only_with("postgres")  # tests/test_kills.py is harder
def test_an_orderly_stop_of_a_busy_session_worker_loses_and_doubles_nothing(stack: RunningStack, acme: Api) -> None:
    instance, number = acme.linked()
    # Two people: the client library loses one of two messages that meet between the same two.
    carla, dan = acme.phone("Carla"), acme.phone("Dan")
    for turn in range(60):
        acme.send(instance, carla, str(turn))
        acme.write(dan, number, str(turn))
        if turn == 30:
            pid = stack.kill("sessions-sandbox-1", signal.SIGTERM)
            stopped = time.monotonic()
    stack.wait_for_restart("sessions-sandbox-1", pid)
    assert time.monotonic() - stopped < 30
    wait_for(lambda: len(acme.received(carla)) >= 60, 60, "all to arrive")
    assert [m["text"] for m in acme.received(carla)] == [str(turn) for turn in range(60)]
    rows = wait_for(
        lambda: len(got := [m for m in acme.messages(instance=instance) if m["direction"] == "inbound"]) >= 60 and got
    )
    assert sorted(int(m["text"]["body"]) for m in rows) == list(range(60))
