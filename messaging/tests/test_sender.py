from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from instances.whatsapp.failures import SendFailed
from messaging.models import Message
from messaging.sending.sender import NotBegun, Sender


class Engine:
    """Takes messages, and ends each as the test says."""

    def __init__(self) -> None:
        self.has: list[str] = []
        self._may_end = threading.Semaphore(0)
        self._failure: Exception | None = None

    def __call__(self, row: Message, outbound: Any) -> Any:
        self.has.append(row.type)
        assert self._may_end.acquire(timeout=10)
        failure, self._failure = self._failure, None
        if failure:
            raise failure
        return f"sent {row.type}"

    def ends(self, failure: Exception | None = None) -> None:
        self._failure = failure
        self._may_end.release()


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def sender(engine: Engine) -> Iterator[Sender]:
    sender = Sender("ins_1", engine)
    yield sender
    sender.close()


def submit(sender: Sender, name: str) -> Any:
    return sender.submit(Message(type=name), None)  # type: ignore[arg-type]


def test_one_follows_the_other_in_order(sender: Sender, engine: Engine) -> None:
    first, second = submit(sender, "first"), submit(sender, "second")
    engine.ends()
    assert first.result(10) == "sent first"
    assert not second.done()
    engine.ends()
    assert second.result(10) == "sent second"
    assert engine.has == ["first", "second"]


def test_after_a_failure_nothing_is_begun_until_it_is_resumed(sender: Sender, engine: Engine) -> None:
    first, second = submit(sender, "first"), submit(sender, "second")
    engine.ends(SendFailed("no"))
    assert isinstance(first.exception(10), SendFailed)
    assert isinstance(second.exception(10), NotBegun)
    assert isinstance(submit(sender, "third").exception(10), NotBegun)
    sender.resume()
    again = submit(sender, "second")
    engine.ends()
    assert again.result(10) == "sent second"
    assert engine.has == ["first", "second"]


def test_what_was_begun_goes_on_when_it_is_halted(sender: Sender, engine: Engine) -> None:
    first, second = submit(sender, "first"), submit(sender, "second")
    while not engine.has:
        pass
    sender.halt()
    engine.ends()
    assert first.result(10) == "sent first"
    assert isinstance(second.exception(10), NotBegun)
    assert engine.has == ["first"]
