from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from instances.whatsapp import gate as gates
from instances.whatsapp.gate import Gate


@pytest.fixture
def gate() -> Gate:
    return Gate()


def passes(act: object) -> threading.Thread:
    thread = threading.Thread(target=act, daemon=True)  # type: ignore[arg-type]
    thread.start()
    return thread


def test_readers_pass_an_open_gate(gate: Gate) -> None:
    reader = passes(gate.enter)
    reader.join(20)
    assert not reader.is_alive()


def test_a_reader_waits_until_the_writer_opens(gate: Gate) -> None:
    gate.close(self := object())
    reader = passes(gate.enter)
    reader.join(0.05)
    assert reader.is_alive()
    gate.open(self)
    reader.join(20)
    assert not reader.is_alive()


def test_only_its_owner_opens_a_gate(gate: Gate) -> None:
    gate.close(owner := object())
    gate.open(object())
    reader = passes(gate.enter)
    reader.join(0.05)
    assert reader.is_alive()
    gate.open(owner)
    reader.join(20)


def test_opening_twice_does_not_open_for_the_next_writer(gate: Gate) -> None:
    gate.close(first := object())
    gate.open(first)
    gate.close(second := object())
    gate.open(first)
    reader = passes(gate.enter)
    reader.join(0.05)
    assert reader.is_alive()
    gate.open(second)
    reader.join(20)


def test_a_writer_that_never_opens_holds_nobody_up_for_ever(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "LONGEST_CONNECT_SECONDS", 0.1)
    began = time.monotonic()
    gate.close(object())
    gate.enter()
    assert time.monotonic() - began >= 0.1


def test_writers_are_alone(gate: Gate) -> None:
    inside, most = 0, 0
    count = threading.Lock()

    def write(_: int) -> None:
        nonlocal inside, most
        with gate.closed():
            with count:
                inside += 1
                most = max(most, inside)
            time.sleep(0.001)
            with count:
                inside -= 1

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(24)))
    assert most == 1


def test_a_gate_opens_when_its_block_fails(gate: Gate) -> None:
    with pytest.raises(RuntimeError), gate.closed():
        raise RuntimeError
    gate.enter()
