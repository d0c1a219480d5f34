"""One connection of a client: Noise transport and stanzas, in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web
from google.protobuf.message import DecodeError

from .model import Connection, Device
from .noise import CONNECTION_HEADER, NoiseError, NoiseServer
from .protos import ClientPayload
from .wire import Node, WireError, decode, encode

if TYPE_CHECKING:
    from .network import Network

log = logging.getLogger(__name__)

_BATCH = 1 << 16  # bytes from which on a WebSocket message is not made longer


def _framed(data: bytes) -> bytes:
    return len(data).to_bytes(3, "big") + data


class Session:
    """Lives as long as its WebSocket.  `device` is set after a login."""

    def __init__(self, network: Network, socket: web.WebSocketResponse, noise: NoiseServer) -> None:
        self.network, self._socket, self._noise = network, socket, noise
        self._outbox: deque[tuple[float, Node | None, bytes]] = deque()  # time due, stanza, its encoding
        self._wake = asyncio.Event()  # something is in the outbox
        self._frames = bytearray()
        self._connecting = True  # the connection header is still to come
        self._transport: asyncio.WriteTransport | None = None
        self.noise_key = b""
        self.payload: Any = ClientPayload()
        self.device: Device | None = None
        self.connection: Connection | None = None  # since a login
        self.ended = False  # about to be closed: ignore what still comes

    def send(self, stanza: Node | None, frame: bytes = b"") -> None:
        """Queue a stanza (`frame` is its encoding, if known); it leaves after everything that it may tell has
        been saved.  None ends the connection."""
        latency = max(self.network.faults.latency, self.device.account.faults.latency if self.device else 0)
        due = asyncio.get_running_loop().time() + latency if latency else 0
        self._outbox.append((due, stanza, frame))
        self._wake.set()

    def close(self) -> None:
        """End the connection once everything sent so far is out."""
        self.send(None)

    def abort(self) -> None:
        """Cut the TCP connection without a closing handshake."""
        if self._transport:
            self._transport.abort()

    async def run(self, transport: asyncio.WriteTransport | None) -> None:
        """Serve the client until one of both ends the connection."""
        self._transport = transport
        writer: asyncio.Task[None] | None = None
        try:
            await self._socket.send_bytes(_framed(self._noise.hello(await self._receive_frame())))
            self.noise_key, payload = self._noise.finish(await self._receive_frame())
            self.payload = ClientPayload.FromString(payload)
            writer = asyncio.create_task(self._write())
            self.network.connected(self)
            while True:
                stanza = decode(self._noise.open(await self._receive_frame()))
                if self.network.trace:
                    self.network.trace("<", self, stanza)
                self.network.received(self, stanza)
        except EOFError:
            pass
        except (NoiseError, WireError, DecodeError) as e:
            log.warning("connection of %s ended: %s", self.device or "an unknown client", e)
            self.abort()
        finally:
            if writer:
                writer.cancel()
            self.network.disconnected(self)

    async def _write(self) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                if not self._outbox:
                    self._wake.clear()
                    await self._wake.wait()
                due, stanza, _ = self._outbox[0]
                if (wait := due - asyncio.get_running_loop().time()) > 0:
                    await asyncio.sleep(wait)
                if stanza is None:
                    break
                try:
                    self.network.state.flush()
                    batch = self._due()
                except Exception:
                    # Nobody awaits this task, and a client must not wait for a stanza that never comes.
                    log.exception("cannot send %s", stanza)
                    self.abort()
                    return
                await self._socket.send_bytes(batch)
            await self._socket.close()

    def _due(self) -> bytes:
        """The frames of all stanzas that may go out now; they share one system call."""
        now, batch = asyncio.get_running_loop().time(), bytearray()
        while self._outbox and len(batch) < _BATCH:
            due, stanza, frame = self._outbox[0]
            if stanza is None or due > now:
                break
            self._outbox.popleft()
            if self.network.trace:
                self.network.trace(">", self, stanza)
            batch += _framed(self._noise.seal(frame or encode(stanza)))
        return bytes(batch)

    async def _receive_frame(self) -> bytes:
        """Frames have a 3 byte length; they need not coincide with WebSocket messages."""
        while True:
            if self._connecting and len(self._frames) >= 4:
                if self._frames[:4] != CONNECTION_HEADER:
                    raise NoiseError(f"unknown connection header {bytes(self._frames[:4])!r}")
                del self._frames[:4]
                self._connecting = False
            if not self._connecting and len(self._frames) >= 3:
                end = 3 + int.from_bytes(self._frames[:3], "big")
                if len(self._frames) >= end:
                    frame = bytes(self._frames[3:end])
                    del self._frames[:end]
                    return frame
            message = await self._socket.receive()
            if message.type is not WSMsgType.BINARY:
                raise EOFError
            self._frames += message.data
