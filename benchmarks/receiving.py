"""A receiver of webhooks in a process of its own: ``python -m benchmarks.receiving COUNT``.

Prints ``{"port"}`` at once, and when so many different events have come the list of ``[data.at, arrival]``, in the
order of arrival; times are those of ``time.time()``.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from typing import cast

import orjson
import uvloop


class Caller(asyncio.Protocol):
    """One connection of a task worker: calls ``came(body, moment by the clock)`` and answers 204 at once."""

    def __init__(self, came: Callable[[bytes, float], None], clock: Callable[[], float]) -> None:
        self._came, self._clock, self._data = came, clock, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, gap, body = self._data.partition(b"\r\n\r\n")
        _, _, length = head.lower().partition(b"\r\ncontent-length:")
        if not gap or len(body) < int(length.split(b"\r\n", 1)[0]):
            return
        arrived = self._clock()
        self._data = b""
        self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        self._came(body, arrived)


async def receive(count: int) -> None:
    arrivals: dict[str, list[float]] = {}
    complete = asyncio.Event()

    def came(body: bytes, arrived: float) -> None:
        event = orjson.loads(body)
        arrivals.setdefault(event["id"], [event["data"]["at"], arrived])
        if len(arrivals) >= count:
            complete.set()

    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Caller(came, time.time), "127.0.0.1", 0)
    print(orjson.dumps({"port": server.sockets[0].getsockname()[1]}).decode(), flush=True)
    await complete.wait()
    print(orjson.dumps(list(arrivals.values())).decode(), flush=True)


if __name__ == "__main__":
    uvloop.run(receive(int(sys.argv[1])))
