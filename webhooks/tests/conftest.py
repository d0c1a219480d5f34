from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection

from accounts.sessions import issue_tokens
from config.ids import new_id
from conftest import Person
from tests.conformance import Arbitrary
from webhooks.dispatcher import Dispatcher
from webhooks.events import Draft
from webhooks.models import Endpoint

Answer = tuple[int, dict[str, str], bytes]


SERVE = """
import sys
import config.asgi
from daphne.cli import CommandLineInterface
from webhooks.live import wires
wires.SLOW_SECONDS = 0.5
CommandLineInterface().run(["-u", sys.argv[1], "-v", "0", "config.asgi:application"])
"""


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """A real HTTP server on loopback.

    ``answer`` gives ``(status, headers, body)`` for the number of the request and its path; while ``open``
    is not set, requests hang.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answer: Callable[[int, str], Answer] = lambda number, path: (200, {}, b"thanks")
        self.open = threading.Event()
        self.open.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                receiver._serve(self)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["content-length"]))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.requests.append(Request(handler.path, headers, body))
        status, headers, reply = self.answer(len(self.requests), handler.path)
        self.open.wait(20)
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(reply)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(reply)

    def stop(self) -> None:
        self.open.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that gave up is what some tests are about


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    yield server
    server.stop()


@pytest.fixture
def committed(django_db_serialized_rollback: None, transactional_db: None) -> None:
    """Transactions really commit, for tests with threads; what migrations wrote is there."""


@pytest.fixture
def dispatcher(committed: None) -> Iterator[Dispatcher]:
    running = Dispatcher()
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def _no_wake_up_of_another_test() -> None:
    cache.clear()


@pytest.fixture
def draft(alice: Person) -> Callable[..., Draft]:
    """A draft of an event of Alice; each field can be given."""
    instance = new_id("ins")

    def make(**fields: Any) -> Draft:
        default = Draft(alice.organization.id, instance, "sandbox", "message.received", {"text": "hello"})
        found = default._replace(**fields)
        return found._replace(data=Arbitrary(found.data))

    return make


@pytest.fixture
def hook(alice: Person, receiver: Receiver) -> Endpoint:
    """Alice's endpoint for everything, at the receiver."""
    return Endpoint.objects.create(organization=alice.organization, url=receiver.url, events=["*"])


def wait_for(condition: Callable[[], Any], seconds: float = 10) -> Any:
    """The first true value of the condition; fails after the given time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.01)
    return value


@pytest.fixture
def key(committed: None, alice: Person) -> str:
    """A test key of Alice's."""
    return alice.key()


@pytest.fixture
def access(committed: None, alice: Person) -> str:
    """An access token of Alice's."""
    return issue_tokens(user=alice.user).access


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
