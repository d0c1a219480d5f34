from __future__ import annotations

import itertools
import os
import socket
import threading
from pathlib import Path

import pytest
from pytest_django import Settings

from instances.holding.load import Load, Meter, leaked
from instances.holding.starts import Starts

WELL = Load(descriptors=400, store_connections=100, threads=600, memory_bytes=2**27, cpu=0.1)


def test_a_meter_reads_what_this_process_has(settings: Settings, tmp_path: Path) -> None:
    settings.SESSION_STORE_DIR = tmp_path
    before = Meter().read()
    opened = [os.open(tmp_path / f"{number}.db", os.O_CREAT) for number in range(20)]
    try:
        load = Meter().read()
    finally:
        for descriptor in opened:
            os.close(descriptor)
    assert load.store_connections - before.store_connections == 20
    assert load.descriptors >= 20
    assert load.threads >= threading.active_count() > 0
    assert load.memory_bytes > 2**20


def test_connections_to_a_key_database_are_those_of_stores_too(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        before = Meter().read().store_connections
        settings.KEY_STORE_URLS = {"sandbox": f"postgres://127.0.0.1:{server.getsockname()[1]}/keys", "whatsapp": ""}
        assert Meter().read().store_connections - before == 1


def test_what_numbers_need_is_no_leak(settings: Settings) -> None:
    settings.SESSION_RECYCLE_HANDLES = 1000
    assert leaked(WELL, 100) == ""
    assert leaked(WELL._replace(descriptors=1000, threads=1000), 100) == ""


@pytest.mark.parametrize("handles", ["descriptors", "threads"])
def test_a_worker_that_has_leaked_too_much_says_what(settings: Settings, handles: str) -> None:
    settings.SESSION_RECYCLE_HANDLES = 1000
    assert handles in leaked(WELL._replace(**{handles: 2500}), 100)


def test_starts_are_spread_over_time(settings: Settings) -> None:
    settings.SESSION_CONNECTS_PER_SECOND = 100
    starts, stopping = Starts(), threading.Event()
    assert starts.wait(stopping)
    slots = [starts._next]
    for _ in range(10):
        assert starts.wait(stopping)
        slots.append(starts._next)
    gaps = [after - before for before, after in itertools.pairwise(slots)]
    assert all(gap >= 0.005 for gap in gaps)
    assert len({round(gap, 6) for gap in gaps}) > 1
    stopping.set()
    assert not starts.wait(stopping)
