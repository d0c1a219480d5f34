"""The store of a number's keys is open in the client library while we read and change it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stack.testing import RunningStack
from tests.product import Api, wait_for

pytestmark = [pytest.mark.end_to_end, pytest.mark.only_with("sqlite")]
SESSIONS = "sessions-sandbox-1"


def _opened(pid: int, instance: str) -> list[str]:
    """The files of the instance's store that a process has open; deleted ones say so."""
    names = [os.readlink(one) for one in Path(f"/proc/{pid}/fd").iterdir() if one.is_symlink()]
    return [name for name in names if f"{instance}.db" in name]


def test_nothing_is_taken_from_the_library_that_has_it_open(stack: RunningStack, acme: Api) -> None:
    instance, _ = acme.linked()
    carla = acme.phone("Carla")
    texts = [f"message {number}" for number in range(12)]

    def send(some: list[str]) -> None:
        for text in some:
            acme.send(instance, carla, text)
        wait_for(lambda: some[-1] in arrived(), what=lambda: f"{some[-1]}: {arrived()}")

    def arrived() -> list[str]:
        return [one["text"] for one in acme.received(carla) if one["text"] != "Sale"]

    send(texts[:4])
    # For a chosen audience the address book in the store is changed twice, and read.
    post = {"instance": instance, "to": "status", "text": {"body": "Sale"}, "audience": [carla]}
    status = acme.post("/messages", post, expect=202)["id"]
    wait_for(lambda: acme.message(status)["status"] == "sent", what="the status")
    pid = stack.processes()[SESSIONS]["pid"]
    send(texts[4:8])
    opened = _opened(pid, instance)
    assert any(name.endswith("-wal") for name in opened), opened
    assert not [name for name in opened if name.endswith("(deleted)")]
    stack.wait_for_restart(SESSIONS, stack.kill(SESSIONS))
    # Keys that had been used before the kill would now be used again: the phone could not decrypt.
    send(texts[8:])
    assert arrived() == texts
