"""A load generator that costs little: HTTP/1.1 with keep-alive, one request at a time on each connection.

It understands what our own server answers (Content-Length or chunks), and nothing else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import uvloop

T = TypeVar("T")


class LoadError(Exception):
    """An answer that the measurement does not allow for."""


@dataclass(frozen=True, slots=True)
class Load:
    """One run of the generator. Times are seconds; moments are of ``time.perf_counter``."""

    seconds: float
    latencies: list[float]
    first_answer: float
    last_answer: float
    bodies: list[bytes]
    cpu_seconds: float  # of the generator itself

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds


def request_bytes(address: str, method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """A whole request; underscores in header names become dashes."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {urlsplit(address).netloc}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def parse_answer(data: bytes | bytearray) -> tuple[int, bytes] | None:
    """Status and body of a complete answer, None while a part is missing. Raises LoadError."""
    head, gap, rest = bytes(data).partition(b"\r\n\r\n")
    if not gap:
        return None
    fields = head.lower()
    if not fields.startswith(b"http/1.1 ") or b"\r\nconnection: close" in fields:
        raise LoadError(f"not an answer to go on with: {head[:200]!r}")
    body: bytes | None
    if b"\r\ntransfer-encoding: chunked" in fields:
        body = _dechunked(rest)
    else:
        _, found, length = fields.partition(b"\r\ncontent-length:")
        if not found:
            raise LoadError(f"an answer without a length: {head[:200]!r}")
        size = int(length.split(b"\r\n", 1)[0])
        body = rest if len(rest) >= size else None
    return None if body is None else (int(head[9:12]), body)


def _dechunked(rest: bytes) -> bytes | None:
    body, place = b"", 0
    while (end := rest.find(b"\r\n", place)) >= 0:
        size = int(rest[place:end], 16)
        if len(rest) < end + 2 + size + 2:
            return None
        if size == 0:
            return body
        body += rest[end + 2 : end + 2 + size]
        place = end + 2 + size + 2
    return None


class Connection(asyncio.Protocol):
    """One connection; `ask` again only when the last answer is there."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(cls, address: str) -> Connection:
        url = urlsplit(address)
        if not url.hostname or not url.port:
            raise LoadError(f"{address} lacks a host or a port")
        _, connection = await asyncio.get_running_loop().create_connection(cls, url.hostname, url.port)
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        if self._answer is None or self._answer.done():
            return
        try:
            answer = parse_answer(self._data)
        except (LoadError, ValueError) as error:
            self._answer.set_exception(error)
        else:
            if answer is not None:
                self._data.clear()
                self._answer.set_result(answer)

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_exception(error or LoadError("the server closed the connection"))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body. Raises LoadError, or OSError when the connection breaks."""
        assert self._transport is not None
        if self._transport.is_closing():
            raise LoadError("the server closed the connection")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        if self._transport:
            self._transport.close()


async def _work(
    connection: Connection, requests: Iterator[bytes], status: int, done: list[tuple[float, float, bytes]]
) -> None:
    for request in requests:  # the iterator is shared: whoever is free takes the next one
        started = time.perf_counter()
        got, body = await connection.ask(request)
        ended = time.perf_counter()
        if got != status:
            raise LoadError(f"expected {status}, got {got}: {body[:300].decode(errors='replace')}")
        done.append((started, ended, body))


async def _load(address: str, requests: Sequence[bytes], connections: int, status: int) -> Load:
    opened = [await Connection.open(address) for _ in range(connections)]
    done: list[tuple[float, float, bytes]] = []
    shared = iter(requests)
    cpu, started = time.process_time(), time.perf_counter()
    try:
        async with asyncio.TaskGroup() as group:
            for connection in opened:
                group.create_task(_work(connection, shared, status, done))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    finally:
        for connection in opened:
            connection.close()
    answers = [ended for _, ended, _ in done]
    return Load(
        seconds=max(answers) - started,
        latencies=[ended - begun for begun, ended, _ in done],
        first_answer=min(answers),
        last_answer=max(answers),
        bodies=[body for _, _, body in done],
        cpu_seconds=time.process_time() - cpu,
    )


def load(address: str, requests: Sequence[bytes], *, connections: int, status: int) -> Load:
    """Send all requests over that many connections, each as soon as one is free.

    Raises LoadError at the first answer with another status than `status`: a measurement of errors is none.
    """
    return run(_load(address, requests, connections, status))


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
