"""What the processes write into var/log: everything but secrets."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from stack.testing import RunningStack
from tests.product import Api, wait_for

pytestmark = [pytest.mark.end_to_end, pytest.mark.only_with("sqlite")]
MARK = "PLANTED"
PROCESSES = ("web", "live", "tasks", "sessions-sandbox-1")  # beat has nothing to say


@pytest.fixture
def failing() -> Iterator[str]:
    """The URL of a receiver that answers 500 and repeats what it got."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(500)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/{MARK}?token={MARK}"
    server.shutdown()
    server.server_close()


def logged(stack: RunningStack) -> str:
    return "".join(file.read_text(errors="replace") for file in sorted((stack.var / "log").glob("*.log*")))


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(errors="replace").splitlines() if line.startswith("{")]


def test_no_process_writes_a_secret_into_its_log(stack: RunningStack, owner: Api, acme: Api, failing: str) -> None:
    secrets = [owner.credential, acme.credential]
    hooks = [acme.post("/webhooks", {"url": url, "events": ["*"]}) for url in (failing, f"http://127.0.0.1:9/{MARK}")]
    secrets += [hook["secret"] for hook in hooks]
    linking, phone = acme.instance(), acme.phone("Acme")
    acme.post(f"/instances/{linking}/pairing-code", {"phone": phone}, expect=202)
    code = wait_for(lambda: acme.get(f"/instances/{linking}/pairing-code")["code"], 60, "a pairing code")
    secrets += [code, acme.get(f"/instances/{linking}/qr")["code"]]
    acme.post(f"/sandbox/phones/{phone}/enter-code", {"code": f"{MARK}1"}, expect=409)
    acme.post(f"/sandbox/phones/{phone}/enter-code", {"code": code}, expect=202)
    acme.wait_for_state(linking, "connected")
    carla = acme.phone("Carla")
    acme.send(linking, carla, f"{MARK} out")
    wait_for(lambda: acme.received(carla), what="the message")
    acme.write(carla, phone, f"{MARK} in")
    wait_for(lambda: [m for m in acme.messages(instance=linking) if m["direction"] == "inbound"], what="the answer")
    wrong = {"email": "planted@example.com", "password": f"{MARK} wrong"}
    assert httpx.post(f"{stack.address}/api/auth/login", json=wrong).status_code == 401
    assert httpx.post(f"{stack.address}/api/auth/login", content=f'{{"password": "{MARK}').status_code in (400, 415)
    headers = {"Authorization": f"Bearer {acme.credential}", "Idempotency-Key": f"{MARK}-1"}
    broken = {"instance": linking, "to": MARK, "type": "text", "text": {"body": MARK}}
    assert httpx.post(f"{stack.address}/api/messages", json=broken, headers=headers).status_code == 400
    assert httpx.get(f"{stack.address}/ws/events?ticket={MARK}").status_code >= 400
    ticket = acme.post("/events/ticket")["ticket"]
    secrets.append(ticket)
    path = f"/webhooks/{hooks[0]['id']}/deliveries"
    wait_for(lambda: [d for d in acme.get(path)["results"] if d["attempts"]], what="a failed delivery")

    text = logged(stack)
    assert MARK not in text, [line[:300] for line in text.splitlines() if MARK in line]
    for secret in secrets:
        assert secret not in text, [line[:300] for line in text.splitlines() if secret in line]


def test_every_process_writes_json(stack: RunningStack) -> None:
    for name in PROCESSES:
        said = lines(stack.var / "log" / f"{name}.log")
        assert said, name
        assert all({"event", "level", "logger", "timestamp", "source"} <= line.keys() for line in said), name
