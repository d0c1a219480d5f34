"""The product as its users see it: over HTTP, and at the other end a receiver of webhooks."""

from __future__ import annotations

import itertools
import json
import os
import queue
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, TypeVar

import httpx

from stack.paths import Paths
from stack.testing import RunningStack

T = TypeVar("T")
PASSWORD = "correct horse battery staple"
opened: list[httpx.Client] = []  # to be closed at the end of the test
# Nothing here is HTTPS, and to read the authorities takes each client a tenth of a second of the processor.
TRUST_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_serial = itertools.count(1)
_prefix = f"1777{os.getpid() % 1000:03d}"


def new_number() -> str:
    """A phone number that nothing else in this run has."""
    return f"{_prefix}{next(_serial):04d}"


def wait_for(
    condition: Callable[[], T | Literal[False] | None], seconds: float = 30.0, what: str | Callable[[], object] = ""
) -> T:
    """The condition's first true value. Raises AssertionError with its last one and with `what`, or what it answers.

    A condition that takes long is looked at less often, so that looking leaves the processor to what is waited for.
    """
    started = asked = time.monotonic()
    while not (value := condition()):
        now = time.monotonic()
        if now > started + seconds:
            raise AssertionError(f"waited {seconds} s in vain for {what() if callable(what) else what}: {value!r}")
        time.sleep(min(max(0.05, 2 * (now - asked)), 1))
        asked = time.monotonic()
    return value


def wait_until_answered(api: Api, times: int = 30) -> None:
    """Wait until the API answers again and again; after a kill of PostgreSQL each process has to notice by itself."""
    answered, deadline = 0, time.monotonic() + 60
    while answered < times:
        assert time.monotonic() < deadline, "no answers"
        try:  # each over another connection, so that another process may answer it
            answer = httpx.get(
                f"{api.address}/api/messages?limit=1", headers=dict(api.http.headers), timeout=30, verify=TRUST_NOBODY
            )
            answered = answered + 1 if answer.is_success else 0
        except httpx.TransportError:
            answered = 0
        if not answered:
            time.sleep(0.1)


class Api:
    """One organization's way in. Answers are parsed; a status other than `expect` fails the test."""

    def __init__(self, address: str, credential: str) -> None:
        self.address, self.credential = address, credential
        self.http = httpx.Client(
            base_url=address, headers={"Authorization": f"Bearer {credential}"}, timeout=30, verify=TRUST_NOBODY
        )
        opened.append(self.http)

    def call(self, method: str, path: str, expect: int, **options: Any) -> Any:
        answer = self.http.request(method, f"/api{path}", **options)
        assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def get(self, path: str, **params: Any) -> Any:
        return self.call("GET", path, 200, params=params)

    def post(self, path: str, body: dict[str, Any] | None = None, expect: int = 201) -> Any:
        return self.call("POST", path, expect, json=body or {})

    # --- the verbs of the path ----------------------------------------------------------------

    def key(self, mode: str = "test") -> str:
        scopes = ["read", "send", "manage", "webhooks"]
        return str(self.post("/keys", {"name": mode, "mode": mode, "scopes": scopes})["key"])

    def phone(self, name: str = "Carla") -> str:
        """A new virtual phone; returns its number."""
        number = new_number()
        self.post("/sandbox/phones", {"phone": number, "name": name})
        return number

    def instance(self, network: str = "sandbox") -> str:
        return str(self.post("/instances", {"name": "Support", "network": network})["id"])

    def state(self, instance: str) -> str:
        return str(self.get(f"/instances/{instance}")["state"])

    def connect(self, instance: str) -> None:
        """As soon as there is room among those that are being linked."""

        def begun() -> bool:
            answer = self.http.post(f"/api/instances/{instance}/connect", json={})
            full = answer.status_code != 202 and answer.json()["code"] in ("too_many_links", "linking_busy")
            assert answer.status_code == 202 or full, answer.text
            return not full

        wait_for(begun, 60, "a place to link")

    def wait_for_state(self, instance: str, state: str, seconds: float = 60.0) -> dict[str, Any]:
        wait_for(lambda: self.state(instance) == state, seconds, f"{state}: {self.get(f'/instances/{instance}')}")
        return dict(self.get(f"/instances/{instance}"))

    def scan(self, phone: str, instance: str) -> None:
        """Scan as soon as there is a code."""

        def scanned() -> bool:
            path = f"/api/sandbox/phones/{phone}/scan"
            answer = self.http.post(path, json={"instance": instance})
            assert answer.status_code in (202, 409), answer.text
            return answer.status_code == 202

        wait_for(scanned, 60, "a QR code")

    def linked(self) -> tuple[str, str]:
        """A new instance that is connected, and its phone number."""
        phone, instance = self.phone("Acme"), self.instance()
        self.connect(instance)
        self.scan(phone, instance)
        self.wait_for_state(instance, "connected")
        return instance, phone

    def send(self, instance: str, to: str, text: str) -> str:
        body = {"instance": instance, "to": to, "type": "text", "text": {"body": text}}
        return str(self.post("/messages", body, expect=202)["id"])

    def message(self, message: str) -> dict[str, Any]:
        return dict(self.get(f"/messages/{message}"))

    def messages(self, **params: Any) -> list[dict[str, Any]]:
        """All pages, newest first."""
        page, results = self.get("/messages", limit=100, **params), []
        while True:
            results += page["results"]
            if page["next"] is None:
                return results
            page = self.http.get(page["next"]).json()

    def received(self, phone: str) -> list[dict[str, Any]]:
        """What a virtual phone got from others."""
        results, after = [], 0
        while after is not None:
            page = self.get(f"/sandbox/phones/{phone}/messages", after=after)
            results += [one for one in page["results"] if not one["from_me"]]
            after = page["next"]
        return results

    def write(self, phone: str, to: str, text: str) -> str:
        """Have the user of a virtual phone write a text."""
        return str(self.post(f"/sandbox/phones/{phone}/messages", {"to": to, "text": text})["id"])


class Control:
    """The sandbox's control API, for what its users cannot do: ``control("create_group", phone=…)``."""

    def __init__(self, stack: RunningStack) -> None:
        socket = str(Paths.of(stack.environ).sockets / "sandbox.sock")
        transport = httpx.HTTPTransport(uds=socket, verify=TRUST_NOBODY)
        self.http = httpx.Client(transport=transport, base_url="http://sandbox", timeout=30)
        opened.append(self.http)

    def __call__(self, method: str, **arguments: Any) -> Any:
        answer = self.http.post(f"/control/{method}", json=arguments)
        assert answer.is_success, f"{method}: {answer.text}"
        return answer.json()["result"]


def register(address: str) -> Api:
    """A new organization, acting with its owner's access token."""
    body = {"email": f"owner{next(_serial)}@example.com", "password": PASSWORD, "name": "Acme"}
    answer = httpx.post(f"{address}/api/auth/register", json=body, timeout=30, verify=TRUST_NOBODY)
    assert answer.status_code == 201, answer.text
    return Api(address, answer.json()["access"])


class Receiver:
    """A webhook receiver on loopback; `deliveries` holds (headers, body) as they came, ``status`` gives the answer."""

    def __init__(self) -> None:
        self.deliveries: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()
        deliveries, receiver = self.deliveries, self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                deliveries.put(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(receiver.status(body))
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def status(self, body: bytes) -> int:
        return 204

    def wait_for(self, type_: str, seconds: float = 20.0) -> tuple[dict[str, str], bytes, dict[str, Any]]:
        """The next delivery of an event of this type: headers, raw body, event."""
        deadline = time.monotonic() + seconds
        while True:
            headers, body = self.deliveries.get(timeout=max(0.1, deadline - time.monotonic()))
            event = json.loads(body)
            if event["type"] == type_:
                return headers, body, event

    def wait_for_any(self, seconds: float = 20.0) -> dict[str, Any]:
        """The next event, whatever it is."""
        return dict(json.loads(self.deliveries.get(timeout=seconds)[1]))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
