from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from conftest import Person
from webhooks.tests.conftest import wait_for
from webhooks.tests.test_deliveries import commit

SERVE = """
import sys
import config.asgi
from daphne.cli import CommandLineInterface
from webhooks.live import wires
wires.SLOW_SECONDS = 0.5
CommandLineInterface().run(["-u", sys.argv[1], "-v", "0", "config.asgi:application"])
"""


def _database_url() -> str:
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    user = database["USER"] + (f":{database['PASSWORD']}" if database["PASSWORD"] else "")
    host = database["HOST"] + (f":{database['PORT']}" if database["PORT"] else "")
    if host.startswith("/"):
        host = f"/{host}"  # the folder of a Unix socket stands between user and name
    return f"postgres://{user}@{host}/{database['NAME']}"


@pytest.fixture
def live_socket(committed: None, tmp_path: Path) -> Iterator[Path]:
    """The socket of a real daphne on the test's database."""
    path = tmp_path / "live.sock"
    environment = os.environ | {"DATABASE_URL": _database_url(), "REDIS_URL": settings.REDIS_URL}
    server = subprocess.Popen([sys.executable, "-c", SERVE, str(path)], cwd=settings.BASE_DIR, env=environment)
    try:
        wait_for(path.exists, 30)
        yield path
    finally:
        server.terminate()
        server.wait(20)


def request(path: Path, target: str, *headers: str) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    client.connect(str(path))
    client.sendall("\r\n".join([f"GET {target} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode())
    return client


def upgrade(path: Path, target: str, *headers: str) -> socket.socket:
    return request(
        path, target, "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", *headers,
    )  # fmt: skip


def test_daphne_serves_sockets_only_and_cuts_off_a_reader_that_stops_reading(
    live_socket: Path, alice: Person, draft: Any
) -> None:
    for send, arguments, status in [
        (request, ("/api/version",), b"404"),
        (upgrade, ("/ws/events",), b"401"),
        (upgrade, ("/ws/elsewhere",), b"403"),
    ]:
        with send(live_socket, *arguments) as client:
            assert client.recv(100).split()[1] == status
    with upgrade(live_socket, "/ws/events", f"X-API-Key: {alice.key()}") as stuck:
        assert stuck.recv(100).split()[1] == b"101"
        poll = select.poll()
        poll.register(stuck, 0)
        for _ in range(20):
            commit(*[draft(data={"text": 20_000 * "a"}) for _ in range(5)])
        wait_for(lambda: poll.poll(0), 20)
