"""What the tests drive: the sandbox as a process, real clients as a process, sessions without a socket."""

from __future__ import annotations

import http.client
import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings

from sandbox.crypto import KeyPair
from sandbox.model import Connection, Device
from sandbox.network import Network
from sandbox.protos import ClientPayload
from sandbox.wire import SERVER, Jid, Node, node

ROOT = Path(__file__).resolve().parents[2]
# A busy machine is no failure.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
PATIENCE = 20  # seconds until a condition counts as never to come


def wait_until(condition: Callable[[], Any], what: str = "the condition") -> Any:
    """The first true value of `condition`."""
    end = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < end, f"{what} did not come true"
        time.sleep(0.01)
    return value


def _short(value: Any) -> str:
    """What a failure shows of a value: files are kilobytes of base64."""
    text = str(value)
    return text if len(text) <= 300 else f"{text[:300]}… ({len(text)} characters)"


class Refused(Exception):
    """An error answer of the control API."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(status, code, detail)
        self.status, self.code = status, code


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("sandbox", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def request(control: str, method: str, body: bytes) -> tuple[int, Any]:
    connection = _UnixConnection(control)
    try:
        connection.request("POST", f"/control/{method}", body)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


class SandboxProcess:
    """`python -m sandbox`; after `stop` or `kill` it can be started again with the same ports and state."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder, self.cache = folder, cache
        self.port = self.media_port = 0
        self.ready: dict[str, Any] = {}
        self.process: subprocess.Popen[str] | None = None

    def arguments(self) -> list[str]:
        options = {"--port": self.port, "--media-port": self.media_port, "--cache": self.cache}
        options |= {"--state": self.folder / "state", "--control": self.folder / "control"}
        return [sys.executable, "-m", "sandbox", *(str(x) for pair in options.items() for x in pair)]

    def start(self) -> SandboxProcess:
        with open(self.folder / "log", "a") as log:
            self.process = subprocess.Popen(self.arguments(), cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, (self.folder / "log").read_text()
        self.ready = json.loads(line)
        self.port = int(self.ready["url"].rpartition(":")[2])
        return self

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self._reap()

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self._reap()

    def _reap(self) -> int:
        assert self.process is not None
        assert self.process.stdout is not None
        status = self.process.wait(PATIENCE)
        self.process.stdout.close()
        return status

    def __call__(self, method: str, **arguments: Any) -> Any:
        status, answer = request(self.ready["control"], method, json.dumps(arguments).encode())
        if "error" in answer:
            raise Refused(status, **answer["error"])
        return answer["result"]

    def texts(self, phone: str) -> list[str]:
        return [m["text"] for m in self("messages", phone=phone, limit=1000)["results"]]


class ClientProcess:
    """Real neonize clients, see client.py.  Events are kept, so that tests can look for those of their own."""

    def __init__(self, sandbox: SandboxProcess, folder: Path) -> None:
        env = {**os.environ, **sandbox.ready["env"], "NEONIZE_BOT_TAG": "off"}
        env["PYTHONPATH"] = os.pathsep.join(filter(None, (env["PYTHONPATH"], os.environ.get("PYTHONPATH"))))
        self.sandbox, self.folder = sandbox, folder
        with open(folder / "clients.log", "w") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("client.py"))],
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                bufsize=1,
            )
        self.events: list[dict[str, Any]] = []
        self._answers: dict[int, queue.Queue[dict[str, Any]]] = {}
        self._changed = threading.Condition()
        self._serial = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.expect(event="ready")

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            message = json.loads(line)
            if "request" in message:
                self._answers[message["request"]].put(message)
            else:
                with self._changed:
                    self.events.append(message)
                    self._changed.notify_all()

    def find(self, since: int = 0, **wanted: Any) -> list[dict[str, Any]]:
        return [e for e in self.events[since:] if wanted.items() <= e.items()]

    def expect(self, since: int = 0, **wanted: Any) -> dict[str, Any]:
        """The first event (from number `since` on) with these values, now or when it comes."""
        with self._changed:
            found = self._changed.wait_for(lambda: self.find(since, **wanted), PATIENCE)
        assert found, f"no {wanted}; the last events: {[_short(e) for e in self.events[-8:]]}"
        return found[0]

    def __call__(self, do: str, client: str, **arguments: Any) -> Any:
        self._serial += 1
        number, answer = self._serial, queue.Queue()
        self._answers[number] = answer
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"request": number, "do": do, "client": client, **arguments}) + "\n")
        reply = answer.get(timeout=PATIENCE)
        if "error" in reply:
            raise RuntimeError(reply["error"])
        return reply["result"]

    def start(self, client: str) -> None:
        self("start", client, database=str(self.folder / f"{client}.sqlite3"))

    def link(self, client: str, phone: str, name: str = "", realm: str = "") -> None:
        """A phone scans the client's QR code."""
        self.sandbox("create_phone", phone=phone, name=name or client, realm=realm)
        mark = len(self.events)
        self.start(client)
        self.sandbox("scan", phone=phone, qr=self.expect(mark, client=client, event="qr")["code"])
        self.expect(mark, client=client, event="Connected")

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        self.process.stdout.close()


class MemorySession:
    """A client's connection without a socket: what the network sends is in `sent`."""

    def __init__(self, network: Network, noise_key: bytes = b"") -> None:
        self.network, self.noise_key = network, noise_key or KeyPair.generate().public
        self.payload: Any = ClientPayload()
        self.device: Device | None = None
        self.connection: Connection | None = None
        self.sent: list[Node] = []
        self.ended = self.closed = False

    def send(self, stanza: Node, frame: bytes = b"") -> None:
        self.sent.append(stanza)

    def close(self) -> None:
        self.closed = True

    abort = close

    def last(self, tag: str) -> Node:
        return next(s for s in reversed(self.sent) if s.tag == tag)

    def query(self, xmlns: str, kind: str, *content: Node, to: Jid = SERVER) -> Node:
        """The network's answer to an <iq>."""
        self.network.received(self, node("iq", *content, xmlns=xmlns, type=kind, to=to, id=f"q{len(self.sent)}"))
        return self.sent[-1]
