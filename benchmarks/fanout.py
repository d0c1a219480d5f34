"""How long it takes from an event's insertion to its frame at each of many WebSockets, and what sockets weigh."""

from __future__ import annotations

import asyncio
import base64
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import cast
from urllib.parse import urlsplit

import orjson

from benchmarks.client import LoadError, run
from benchmarks.options import Options
from benchmarks.product import LONGEST_SECONDS, Product
from benchmarks.report import PROJECT, Row, milliseconds

_OPENING_AT_ONCE = 20
_PER_SECOND = 3  # events, so that each finds an idle product


class Listener(asyncio.Protocol):
    """A WebSocket that notes how old each event is when it comes. Frames of a server are not masked."""

    def __init__(self, request: bytes, ages: list[float]) -> None:
        self._request, self._ages = request, ages
        self._data = b""
        self._open = False
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        arrived = time.time()
        self._data += data
        if not self._open:
            head, gap, rest = self._data.partition(b"\r\n\r\n")
            if not gap:
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                self.ready.set_exception(LoadError(f"no socket was opened: {self._data[:400]!r}"))
                return
            self._open, self._data = True, rest
        while (frame := self._next_frame()) is not None:
            self._take(frame, arrived)

    def _next_frame(self) -> bytes | None:
        """The payload of a text frame, or nothing for another one; None while it is not complete."""
        if len(self._data) < 4:
            return None
        length, start = self._data[1] & 0x7F, 2
        if length == 126:
            length, start = int.from_bytes(self._data[2:4]), 4
        if length == 127 or len(self._data) < start + length:
            return None
        kind, payload = self._data[0] & 0x0F, self._data[start : start + length]
        self._data = self._data[start + length :]
        if kind == 9:  # a ping; its answer is masked with zeros
            self.transport.write(bytes((0x8A, 0x80 | length, 0, 0, 0, 0)) + payload)
        return payload if kind == 1 else b""

    def _take(self, frame: bytes, arrived: float) -> None:
        if not frame:
            return
        words = orjson.loads(frame)
        if "at" in words.get("data", {}):
            self._ages.append(arrived - words["data"]["at"])
        elif words.get("action") == "ready" and not self.ready.done():
            self.ready.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(LoadError("a socket was closed"))


def measure(product: Product, options: Options) -> Iterator[Row]:
    """For each number of listeners, with the process that serves them started anew."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for count in options.listeners:
        yield from run(_measure(product, options, count))


async def _measure(product: Product, options: Options, count: int) -> list[Row]:
    await asyncio.to_thread(lambda: product.stack.wait_for_restart("live", product.stack.kill("live")))
    ages: list[float] = []
    first = await _first(product, ages)
    before = await _megabytes(product)
    slots = asyncio.Semaphore(_OPENING_AT_ONCE)

    async def one() -> Listener:
        async with slots:
            return await _open(product, ages)

    started = time.perf_counter()
    listeners = [first, *await asyncio.gather(*[one() for _ in range(count - 1)])]
    opening = time.perf_counter() - started
    try:
        weight = (
            ((await asyncio.to_thread(product.memory, "live"))[0] - before) / (count - 1) * 1000 if count > 1 else 0
        )
        idle = await _cpu_share(product, 5.0)
        cpu = product.cpu_seconds()
        events = options.events
        await asyncio.to_thread(_emit, product, events)
        await _until_all_came(ages, count * events)
        used = {name: seconds - cpu.get(name, 0) for name, seconds in product.cpu_seconds().items()}
    finally:
        for listener in listeners:
            listener.transport.abort()
    spent = ", ".join(f"{name} {used[name] / events * 1000:.0f}" for name in ("live", "splitter"))
    return [
        Row(
            f"fanout.{count}",
            f"event insert to WebSocket frame, {count:,} listeners",
            sum(ages) / len(ages) * 1000,
            "ms mean",
            **milliseconds(ages),
            note=f"{events} events, one at a time; CPU ms per event: {spent}; opening took {opening:.1f} s",
        ),
        Row(
            f"fanout.memory.{count}",
            f"live process's RSS for 1,000 sockets of {count:,}",
            weight,
            "MB",
            note=f"idle sockets take {idle:.1%} of a core",
        ),
    ]


async def _open(product: Product, ages: list[float]) -> Listener:
    address = urlsplit(product.stack.address)
    nonce = base64.b64encode(os.urandom(16)).decode()
    lines = [
        "GET /ws/events HTTP/1.1", f"Host: {address.netloc}", "Connection: Upgrade", "Upgrade: websocket",
        "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {nonce}", f"Authorization: Bearer {product.stack.key}",
    ]  # fmt: skip
    request = "\r\n".join([*lines, "", ""]).encode()
    loop = asyncio.get_running_loop()
    _, listener = await loop.create_connection(
        lambda: Listener(request, ages), address.hostname or "127.0.0.1", address.port or 80
    )
    await asyncio.wait_for(listener.ready, LONGEST_SECONDS)
    return listener


async def _first(product: Product, ages: list[float]) -> Listener:
    """The process makes itself ready with it."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while True:
        try:
            return await _open(product, ages)
        except LoadError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.2)


async def _megabytes(product: Product) -> float:
    return (await asyncio.to_thread(product.memory, "live"))[0]


async def _cpu_share(product: Product, seconds: float) -> float:
    before = product.cpu_seconds()["live"]
    await asyncio.sleep(seconds)
    return (product.cpu_seconds()["live"] - before) / seconds


def _emit(product: Product, events: int) -> None:
    command = [sys.executable, "-m", "benchmarks.emitting", product.instance, str(events), str(_PER_SECOND), "1"]
    subprocess.run(command, cwd=PROJECT, env=product.stack.environ, check=True)


async def _until_all_came(ages: list[float], count: int) -> None:
    deadline = time.monotonic() + LONGEST_SECONDS
    while len(ages) < count:
        if time.monotonic() > deadline:
            raise LoadError(f"{len(ages)} of {count} frames came")
        await asyncio.sleep(0.1)
    if len(ages) > count:
        raise LoadError(f"{len(ages)} frames came instead of {count}")
