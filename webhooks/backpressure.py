"""Makes an ASGI ``send`` wait for a reader that is slow. daphne alone buffers without bound."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from daphne.ws_protocol import WebSocketProtocol  # type: ignore[import-untyped]
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer  # type: ignore[import-untyped]

Send = Callable[[dict[str, Any]], Awaitable[None]]


@implementer(IPushProducer)
class _Brake:
    """Twisted calls it when the transport's buffer (64 kB) is full and when it is empty again."""

    def __init__(self) -> None:
        self.room = asyncio.Event()
        self.room.set()

    def pauseProducing(self) -> None:
        self.room.clear()

    def resumeProducing(self) -> None:
        self.room.set()

    def stopProducing(self) -> None:
        self.room.set()


def waiting_for_the_reader(send: Send) -> Send:
    """The same ``send``, which returns once the transport has room again. Unchanged on servers but daphne."""
    protocol = send.args[0] if isinstance(send, partial) and send.args else None
    if not isinstance(protocol, WebSocketProtocol):
        return send
    brake = _Brake()
    # The HTTP channel that the socket grew out of is still registered, though nothing more comes from it.
    protocol.unregisterProducer()
    protocol.registerProducer(brake, True)

    async def send_and_wait(message: dict[str, Any]) -> None:
        await send(message)
        await brake.room.wait()

    return send_and_wait
