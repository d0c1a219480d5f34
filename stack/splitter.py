"""The one public address of a single-machine run: HTTP goes to granian, ``/ws`` and
``/api/events`` to daphne, both on Unix sockets.

It reads requests, not responses: each request head gets the client's true address, everything else is relayed
as it is. A client connection has one backend connection of its own, so requests of two clients never meet.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import enum
import http
import json
import os
import resource
import signal
import sys
import time
from dataclasses import dataclass
from functools import partial
from typing import cast

import uvloop

from stack.request_head import RefusedError, find_end, read_head

SETTLED = 0.1  # seconds of silence after which an answer counts as complete when we are to stop


@dataclass(frozen=True)
class Limits:
    """Seconds a connection may take; looked at every ``tick`` seconds."""

    head: float = 15.0  # from a head's first byte to its last
    body: float = 60.0  # between two pieces of a body
    response: float = 300.0  # silence while a response is due
    idle: float = 55.0  # between two requests; less than granian's 60, so that we close first
    half_closed: float = 5.0  # silence after a response began, once the client sends no more
    linger: float = 2.0  # for the client to read an error before the connection is gone
    tick: float = 1.0


class State(enum.Enum):
    REQUESTS = enum.auto()  # heads and bodies of known length
    CHUNKED = enum.auto()  # the last request: what follows its head goes to granian unread
    HANDSHAKE = enum.auto()  # a WebSocket request is at daphne; what follows waits
    WEBSOCKET = enum.auto()  # both directions raw
    ENDING = enum.auto()  # what the client sends is dropped


@dataclass(frozen=True)
class Backends:
    web: str
    live: str


class Client(asyncio.Protocol):
    """The client's side of one connection."""

    def __init__(self, backends: Backends, limits: Limits, clients: set[Client]) -> None:
        self._backends, self._limits, self._clients = backends, limits, clients
        self._loop = asyncio.get_running_loop()
        self._state = State.REQUESTS
        self._buffer = b""
        self._remaining = 0  # bytes of the current body still to come
        self._requests = 0
        self._due = False  # a request went out and nothing came back since
        self._half_closed = self._lingering = False
        self._backend: Backend | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._live = False
        self._outbox: list[bytes] = []

    # --- from the client ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]).partition("%")[0].encode() if peer else b"unknown"
        self._seen = self._head_since = self._loop.time()
        self._timer = self._loop.call_later(self._limits.tick, self._check_time)
        self._clients.add(self)

    def data_received(self, data: bytes) -> None:
        self._seen = self._loop.time()
        if self._state is State.REQUESTS:
            if self._remaining or self._buffer:
                self._buffer += data
            else:
                self._buffer = data
                self._head_since = self._seen
            try:
                self._read_requests()
            except RefusedError as refused:
                self._answer(refused.status, refused.detail)
        elif self._state in (State.WEBSOCKET, State.CHUNKED):
            self._forward(data)
        elif self._state is State.HANDSHAKE:
            self._buffer += data
            _pause(self.transport)

    def _read_requests(self) -> None:
        while self._buffer:
            if self._remaining:
                body, self._buffer = self._buffer[: self._remaining], self._buffer[self._remaining :]
                self._remaining -= len(body)
                self._forward(body)
                continue
            if self._buffer.startswith(b"\r\n"):  # some clients send an empty line after a body
                self._buffer = self._buffer[2:]
                continue
            end = find_end(self._buffer)
            if not end:
                return
            head = read_head(self._buffer[:end], self._address)
            if self._requests and (head.live != self._live or head.handshake):
                self._leave_backend()
            self._requests += 1
            self._due, self._live = True, head.live
            body = self._buffer[end : end + head.length]
            self._remaining = head.length - len(body)
            self._buffer = self._buffer[end + head.length :]
            self._head_since = self._seen
            self._forward(head.rewritten + body)
            if head.handshake:
                self._state = State.HANDSHAKE
                return
            if head.chunked:
                self._state = State.CHUNKED
                rest, self._buffer = self._buffer, b""
                if rest:
                    self._forward(rest)

    def _leave_backend(self) -> None:
        """A client that keeps connections in a pool opens its WebSocket on one that served HTTP before.

        Raises RefusedError while an answer is due: to answer both in order we would have to read answers.
        """
        if self._due or self._backend is None:
            raise RefusedError(421, "This connection waits for an answer of the other kind; open a new one.")
        self._backend.leave()
        self._backend, self._connecting = None, None

    def eof_received(self) -> bool:
        self._half_closed = True
        if self._state is State.WEBSOCKET and self._backend and not self._backend.transport.is_closing():
            self._backend.transport.write_eof()
            return True
        # The end of the client's half must not reach granian, which would drop the response it is making.
        return self._due and not self._remaining and self._state is not State.HANDSHAKE

    def connection_lost(self, error: Exception | None) -> None:
        self._timer.cancel()
        self._clients.discard(self)
        if self._connecting:
            self._connecting.cancel()
        if self._backend:
            # After a clean end what the client sent is still delivered; after a reset nobody waits for it.
            if error is None and not self._remaining:
                self._backend.transport.close()
            else:
                self._backend.transport.abort()

    def pause_writing(self) -> None:
        if self._backend:
            _pause(self._backend.transport)

    def resume_writing(self) -> None:
        if self._backend:
            _resume(self._backend.transport)

    # --- to and from the backend ----------------------------------------------------------

    def _forward(self, data: bytes) -> None:
        if self._backend:
            self._backend.transport.write(data)
            return
        self._outbox.append(data)
        if self._connecting is None:
            _pause(self.transport)
            self._connecting = self._loop.create_task(self._connect())

    async def _connect(self) -> None:
        path = self._backends.live if self._live else self._backends.web
        try:
            await self._loop.create_unix_connection(partial(Backend, self), path)
        except OSError:
            _resume(self.transport)
            self._answer(503, "The service is starting or restarting.", code="starting", retry_after=1)

    def backend_connected(self, backend: Backend) -> None:
        if self.transport.is_closing():
            backend.transport.abort()
            return
        self._backend = backend
        backend.transport.write(b"".join(self._outbox))
        self._outbox.clear()
        _resume(self.transport)

    def backend_said(self, data: bytes) -> None:
        self._seen = self._loop.time()
        self._due = False
        if self._state is State.HANDSHAKE:
            self._end_handshake(accepted=data.startswith(b"HTTP/1.1 101 "))
        self.transport.write(data)

    def _end_handshake(self, *, accepted: bool) -> None:
        """Only after a 101 is what the client sends no HTTP; before it, it could be a request with a false address."""
        self._state = State.WEBSOCKET if accepted else State.ENDING
        if accepted and self._buffer and self._backend:
            self._backend.transport.write(self._buffer)
        self._buffer = b""
        _resume(self.transport)

    def backend_lost(self) -> None:
        if self._due and self._requests == 1 and self._state is not State.ENDING:
            self._answer(502, "The process that served this request ended before it answered.", code="interrupted")
        elif self._state is State.CHUNKED or self._remaining:
            self._linger()  # it answered without reading all, as to what is too large
        elif self._state is not State.ENDING or not self._lingering:
            self.transport.close()

    def is_idle(self, seconds: float) -> bool:
        """True between two requests, after as long a silence."""
        between = self._state is State.REQUESTS and not (self._due or self._remaining or self._buffer)
        return between and self._loop.time() - self._seen >= seconds

    # --- ends -----------------------------------------------------------------------------

    def _answer(self, status: int, detail: str, *, code: str = "", retry_after: int = 0) -> None:
        """An answer of our own; then no more is read, and the connection ends when the client had time to read it."""
        phrase = http.HTTPStatus(status).phrase
        problem = {"type": "about:blank", "title": phrase, "status": status}
        problem |= {"code": code or phrase.lower().replace(" ", "_"), "detail": detail}
        body = json.dumps(problem).encode()
        head = (
            f"HTTP/1.1 {status} {phrase}\r\nContent-Type: application/problem+json\r\nContent-Length: {len(body)}\r\n"
        )
        head += f"Retry-After: {retry_after}\r\n" if retry_after else ""
        head += "Upgrade: websocket\r\n" if status == http.HTTPStatus.UPGRADE_REQUIRED else ""
        if not self.transport.is_closing():
            self.transport.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        self._linger()
        if self._backend:
            self._backend.transport.abort()

    def _linger(self) -> None:
        """Say no more, and drop what still comes: a client that is busy sending has to find the time to read."""
        self._state, self._buffer, self._remaining, self._lingering = State.ENDING, b"", 0, True
        self._seen = self._loop.time()
        _resume(self.transport)
        if not self.transport.is_closing():
            self.transport.write_eof()

    def _check_time(self) -> None:
        now = self._loop.time()
        if now < self._deadline():
            self._timer = self._loop.call_later(self._limits.tick, self._check_time)
        elif self._state is State.REQUESTS and self._buffer and not self._remaining:
            self._timer = self._loop.call_later(self._limits.tick, self._check_time)
            self._answer(408, "The request's head took too long.")
        else:
            self.transport.abort() if self._lingering else self.transport.close()

    def _deadline(self) -> float:
        limits = self._limits
        if self._state is State.WEBSOCKET:
            return float("inf")  # daphne pings and gives up by itself
        if self._lingering:
            return self._seen + limits.linger
        if self._state is State.REQUESTS and not self._remaining and (self._buffer or not self._requests):
            return self._head_since + limits.head
        if self._remaining:
            return self._seen + limits.body
        if self._due and not (self._live and self._half_closed):  # who waits for events may have gone
            return self._seen + limits.response
        return self._seen + (limits.half_closed if self._half_closed or self._state is State.ENDING else limits.idle)


class Backend(asyncio.Protocol):
    """The backend's side of one connection."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._left = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        # A write that fails ends the transport before all is read that the backend said; this still has it.
        self._copy = os.dup(transport.get_extra_info("socket").fileno())
        self._client.backend_connected(self)

    def leave(self) -> None:
        """Close; the client has a new backend, and nothing of this one concerns it any more."""
        self._left = True
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        if not self._left:
            self._client.backend_said(data)

    def connection_lost(self, error: Exception | None) -> None:
        # Without an error all was read, or we have ended it ourselves and nobody waits for more.
        said = _read_all(self._copy) if error else b""
        os.close(self._copy)
        if not self._left:
            if said and not self._client.transport.is_closing():
                self._client.backend_said(said)
            self._client.backend_lost()

    def pause_writing(self) -> None:
        if not self._left:
            _pause(self._client.transport)

    def resume_writing(self) -> None:
        if not self._left:
            _resume(self._client.transport)


def _read_all(fd: int) -> bytes:
    """What a socket that does not block has received."""
    said = b""
    with contextlib.suppress(OSError):
        while piece := os.read(fd, 65536):
            said += piece
    return said


# On a closed transport uvloop raises.


def _pause(transport: asyncio.Transport) -> None:
    if not transport.is_closing():
        transport.pause_reading()


def _resume(transport: asyncio.Transport) -> None:
    if not transport.is_closing():
        transport.resume_reading()


class Splitter:
    """Serves on one address. The backends need not be there yet."""

    def __init__(self, backends: Backends, limits: Limits | None = None) -> None:
        self._clients: set[Client] = set()
        self._factory = partial(Client, backends, limits or Limits(), self._clients)

    async def listen(self, host: str, port: int) -> int:
        """Start; returns the port (for port 0). Raises OSError."""
        self._server = await asyncio.get_running_loop().create_server(self._factory, host, port, backlog=1024)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self, seconds: float = 5.0) -> None:
        """Take no more connections, let answers that are due within `seconds` pass, end the rest."""
        self._server.close()
        deadline = time.monotonic() + seconds
        while self._clients and time.monotonic() < deadline:
            for client in [client for client in self._clients if client.is_idle(SETTLED)]:
                client.transport.close()
            await asyncio.sleep(SETTLED / 2)
        for client in list(self._clients):
            client.transport.abort()
        while self._clients:
            await asyncio.sleep(0)


async def _serve(arguments: argparse.Namespace) -> None:
    splitter = Splitter(Backends(arguments.web, arguments.live))
    await splitter.listen(arguments.host, arguments.port)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()
    await splitter.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m stack.splitter", description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--web", required=True, help="granian's Unix socket")
    parser.add_argument("--live", required=True, help="daphne's Unix socket")
    arguments = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each client takes two descriptors
    try:
        uvloop.run(_serve(arguments))
    except OSError as error:
        print(f"Cannot listen on {arguments.host}:{arguments.port}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
