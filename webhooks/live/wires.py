"""The way to a socket's reader: takes what is sent without waiting, and knows when the reader is slow.

daphne buffers without bound, frames each message anew for each socket, closes without a reason and refuses
handshakes with nothing but 403. So what daphne has below ASGI is used there; other servers get ASGI messages.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property, partial
from http import HTTPStatus
from typing import Any

from autobahn.websocket.protocol import PreparedMessage
from daphne.ws_protocol import WebSocketProtocol  # type: ignore[import-untyped]
from twisted.internet.interfaces import IPushProducer
from twisted.internet.tcp import Connection
from zope.interface import implementer  # type: ignore[import-untyped]

from config.api.problems import CONTENT_TYPE, Problem

SLOW_SECONDS = 10.0  # a reader that takes nothing for so long is cut off
_BACKLOG = 200  # packets that wait for the reader; they are shared by all sockets that get them

Send = Callable[[dict[str, Any]], Awaitable[None]]


class Packet:
    """Text messages for any number of sockets, made ready for the network once; ``cursor`` is said in the last."""

    def __init__(self, texts: Sequence[str], cursor: str | None = None) -> None:
        self.texts, self.cursor = texts, cursor

    @cached_property
    def framed(self) -> bytes:
        """The WebSocket frames, as a server sends them."""
        return b"".join(PreparedMessage(text.encode(), False, False, True).payloadHybi for text in self.texts)


class Wire(ABC):
    """``on_slow`` is called once the reader has taken nothing for SLOW_SECONDS."""

    def __init__(self) -> None:
        self.on_slow: Callable[[], None] = lambda: None
        self.drained = asyncio.Event()  # set while nothing waits
        self.drained.set()
        self._backlog: deque[Packet] = deque()
        self._paused = False
        self._timer: asyncio.TimerHandle | None = None

    def send(self, packet: Packet) -> bool:
        """Have a packet sent after those before it; False if too many wait already."""
        if self.drained.is_set():
            self._push(packet)
            return True
        if len(self._backlog) >= _BACKLOG:
            return False
        self._backlog.append(packet)
        return True

    def pause(self) -> None:
        """The reader has no room."""
        if not self._paused:
            self._paused = True
            self.drained.clear()
            self._timer = asyncio.get_running_loop().call_later(SLOW_SECONDS, self.on_slow)

    def resume(self) -> None:
        """The reader has room again."""
        self._paused = False
        if self._timer:
            self._timer.cancel()
            self._timer = None
        while self._backlog and not self._paused:
            self._push(self._backlog.popleft())
        if not self._paused:
            self.drained.set()

    def release(self) -> None:
        """The socket has ended."""
        self._backlog.clear()
        if self._timer:
            self._timer.cancel()

    @abstractmethod
    def _push(self, packet: Packet) -> None:
        """Hand the packet on; calls ``pause`` when there is no room for more."""

    @abstractmethod
    async def refuse(self, problem: Problem) -> None:
        """Answer the handshake with a problem."""

    @abstractmethod
    async def close(self, code: int, reason: str, last_words: str | None = None) -> None:
        """Close with code and reason, after one more message if there is a chance that it is read."""


class AsgiWire(Wire):
    """For any server; has room while the last ``send`` has returned."""

    def __init__(self, send: Send, extensions: dict[str, Any]) -> None:
        super().__init__()
        self._send, self._extensions = send, extensions
        self._sending: asyncio.Task[None] | None = None

    def _push(self, packet: Packet) -> None:
        self.pause()
        self._sending = asyncio.create_task(self._send_all(packet))

    async def _send_all(self, packet: Packet) -> None:
        for text in packet.texts:
            await self._send({"type": "websocket.send", "text": text})
        self.resume()

    def release(self) -> None:
        super().release()
        if self._sending:
            self._sending.cancel()

    async def refuse(self, problem: Problem) -> None:
        if "websocket.http.response" not in self._extensions:
            await self._send({"type": "websocket.close"})  # which servers turn into 403
            return
        headers, body = _answer(problem)
        start = {"type": "websocket.http.response.start", "status": problem.status, "headers": headers}
        await self._send(start)
        await self._send({"type": "websocket.http.response.body", "body": body})

    async def close(self, code: int, reason: str, last_words: str | None = None) -> None:
        stuck = not self.drained.is_set()
        self.release()
        if last_words and not stuck:
            await self._send({"type": "websocket.send", "text": last_words})
        await self._send({"type": "websocket.close", "code": code, "reason": reason})


@implementer(IPushProducer)
class _Brake:
    """Twisted calls it when the transport's buffer (64 kB) is full and when it is empty again."""

    def __init__(self, wire: Wire) -> None:
        self.pauseProducing, self.resumeProducing, self.stopProducing = wire.pause, wire.resume, wire.release


class DaphneWire(Wire):
    def __init__(self, protocol: Any) -> None:
        super().__init__()
        self._protocol = protocol
        # The HTTP channel that the socket grew out of is still registered, though nothing more comes from it.
        protocol.unregisterProducer()
        protocol.registerProducer(_Brake(self), True)

    def _push(self, packet: Packet) -> None:
        if self._protocol.state == self._protocol.STATE_OPEN:
            data, transport = packet.framed, self._protocol.transport
            if _writes_at_once(transport):
                # Two thirds of the cost of a write are the reactor's: it asks the kernel to wait for room, and to stop.
                sent = transport.writeSomeData(data)
                data = data[sent:] if isinstance(sent, int) else data  # an error comes again, where it is dealt with
            if data:
                self._protocol.sendData(data)

    async def refuse(self, problem: Problem) -> None:
        if self._protocol.state != self._protocol.STATE_CONNECTING:
            return
        headers, body = _answer(problem)
        status = HTTPStatus(problem.status)
        lines = [f"HTTP/1.1 {status} {status.phrase}".encode(), *(b": ".join(header) for header in headers)]
        self._protocol.sendData(b"\r\n".join([*lines, b"connection: close", b"", body]))
        self._protocol.dropConnection(abort=False)

    async def close(self, code: int, reason: str, last_words: str | None = None) -> None:
        self.release()
        if self._protocol.state == self._protocol.STATE_OPEN:
            if last_words:
                self._protocol.sendData(Packet([last_words]).framed)
            self._protocol.sendClose(code, reason)


def _writes_at_once(transport: Any) -> bool:
    """True if nothing waits in Twisted's buffers that would be overtaken."""
    if not isinstance(transport, Connection) or transport.TLS or not transport.connected:
        return False
    return not (transport.dataBuffer or transport._tempDataLen or transport.disconnecting)


def _answer(problem: Problem) -> tuple[list[tuple[bytes, bytes]], bytes]:
    body = json.dumps(problem.body()).encode()
    headers = {"content-type": CONTENT_TYPE, "content-length": str(len(body))} | problem.headers
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()], body


def wire_of(scope: dict[str, Any], send: Send) -> Wire:
    """The wire of a new connection."""
    protocol = send.args[0] if isinstance(send, partial) and send.args else None
    if isinstance(protocol, WebSocketProtocol):
        return DaphneWire(protocol)
    return AsgiWire(send, scope.get("extensions") or {})
