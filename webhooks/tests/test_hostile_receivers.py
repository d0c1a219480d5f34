"""Receivers that mean harm: each costs itself an attempt that says so, and nobody else anything."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import transaction

from webhooks.dispatcher import Dispatcher
from webhooks.events import append
from webhooks.models import Attempt, Endpoint
from webhooks.tests.conftest import Receiver, wait_for

Answer = Callable[[socket.socket], None]
BROKEN = "The receiver broke the connection or did not answer in HTTP."


def says(*pieces: bytes) -> Answer:
    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        for piece in pieces:
            connection.sendall(piece)

    return answer


def never_ends(head: bytes, again: bytes) -> Answer:
    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(head)
        while True:
            connection.sendall(again)

    return answer


HOSTILE: dict[str, tuple[Answer, str]] = {
    "garbage": (says(b"\x00\xff" * 500), BROKEN),
    "no status": (says(b"HTTP/1.1 yes\r\n\r\n"), BROKEN),
    "endless headers": (never_ends(b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n"), BROKEN),
    "endless header": (never_ends(b"HTTP/1.1 200 OK\r\nX-More: ", b"m" * 1000), BROKEN),
    "early close": (says(), BROKEN),
    "half a body": (says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), BROKEN),
    "two lengths": (says(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), BROKEN),
    "plain where TLS is due": (
        says(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        "The receiver's TLS certificate is not valid for its name, or TLS failed.",
    ),
    "endless body": (never_ends(b"HTTP/1.1 200 OK\r\n\r\n", b"b" * 1000), ""),
}


@pytest.fixture
def listen() -> Iterator[Callable[[Answer], int]]:
    """Starts a server that answers each connection so; its port."""
    servers: list[socket.socket] = []

    def serve(server: socket.socket, answer: Answer) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=_answer, args=(connection, answer), daemon=True).start()

    def listen(answer: Answer) -> int:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)
        threading.Thread(target=serve, args=(server, answer), daemon=True).start()
        return int(server.getsockname()[1])

    yield listen
    for server in servers:
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()


def _answer(connection: socket.socket, answer: Answer) -> None:
    with connection, contextlib.suppress(OSError):
        answer(connection)


def test_each_is_told_as_what_it_is_and_the_good_one_gets_its_events(
    dispatcher: Dispatcher, hook: Endpoint, receiver: Receiver, draft: Any, listen: Callable[[Answer], int]
) -> None:
    made = {}
    for name, (answer, _) in HOSTILE.items():
        scheme = "https" if "TLS" in name else "http"
        url = f"{scheme}://127.0.0.1:{listen(answer)}/"
        made[name] = Endpoint.objects.create(organization_id=hook.organization_id, url=url, events=["*"])
    with transaction.atomic():
        append([draft(), draft()])
    for endpoint in [*made.values(), hook]:
        dispatcher.wake(endpoint.id)
    wait_for(lambda: hook.deliveries.filter(state="succeeded").count() == 2)
    wait_for(lambda: all(one.deliveries.filter(attempts__isnull=False).exists() for one in made.values()), 20)
    told = {name: Attempt.objects.filter(delivery__endpoint=one).first().error for name, one in made.items()}
    assert told == {name: words for name, (_, words) in HOSTILE.items()}
    assert made["endless body"].deliveries.filter(state="succeeded").exists()
    assert len(Attempt.objects.filter(delivery__endpoint=made["endless body"]).first().response) == 20_000
