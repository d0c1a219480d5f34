from __future__ import annotations

import select
import socket
from pathlib import Path
from typing import Any

from conftest import Person
from webhooks.tests.conftest import wait_for
from webhooks.tests.test_deliveries import commit


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
