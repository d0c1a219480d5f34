"""The splitter between real sockets: a granian of its own, daphne's side played by a server that shows what it gets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from stack.paths import PROJECT
from stack.splitter import Backends, Limits, Splitter

HOST = b"Host: example.com\r\n"
UPGRADE = b"GET /ws/events HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


@pytest.fixture(scope="module")
def sockets() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="splitter-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def granian(sockets: Path) -> Iterator[str]:
    path = sockets / "web.sock"
    command = [sys.executable, "-m", "granian", "stack.tests.echo_app:application", "--interface", "wsgi"]
    command += ["--uds", str(path), "--http", "1", "--no-ws", "--no-log"]
    process = subprocess.Popen(command, cwd=PROJECT, process_group=0)
    try:
        deadline = time.monotonic() + 10
        while not answers(path):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield str(path)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


class Recorder:
    """A backend that keeps what it is sent and says what the test tells it to."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.changed = asyncio.Condition()
        self.writer: asyncio.StreamWriter | None = None
        self.writers: list[asyncio.StreamWriter] = []
        self.ended = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.writers.append(writer)
        try:
            while data := await reader.read(65536):
                await self._note(data)
        except ConnectionResetError:
            pass
        self.ended = True
        await self._note(b"")

    async def _note(self, data: bytes) -> None:
        async with self.changed:
            self.received += data
            self.changed.notify_all()

    async def until(self, text: bytes) -> None:
        async with asyncio.timeout(5), self.changed:
            await self.changed.wait_for(lambda: text in self.received)

    async def until_ended(self) -> None:
        async with asyncio.timeout(5), self.changed:
            await self.changed.wait_for(lambda: self.ended)

    def say(self, data: bytes) -> None:
        assert self.writer is not None
        self.writer.write(data)


class Front:
    """A splitter's address, and connections to it."""

    def __init__(self, port: int) -> None:
        self.port, self.url = port, f"http://127.0.0.1:{port}"
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self, first: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._writers.append(writer)
        writer.write(first)
        return reader, writer

    async def close(self) -> None:
        for writer in self._writers:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def everything(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(5):
        return await reader.read()


async def response(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and body of one response with a Content-Length."""
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        return int(head.split(b" ")[1]), await reader.readexactly(length)


@pytest.fixture
async def front(granian: str, sockets: Path) -> AsyncIterator[Front]:
    async with opened(Backends(granian, str(sockets / "nobody.sock"))) as front:
        yield front


@contextlib.asynccontextmanager
async def opened(backends: Backends, limits: Limits | None = None) -> AsyncIterator[Front]:
    """A splitter for these backends, for the time of a block."""
    splitter = Splitter(backends, limits)
    front = Front(await splitter.listen("127.0.0.1", 0))
    try:
        yield front
    finally:
        await front.close()
        await splitter.close(seconds=0.2)


@pytest.fixture
async def recorder(sockets: Path) -> AsyncIterator[Recorder]:
    recorder = Recorder()
    server = await asyncio.start_unix_server(recorder.serve, sockets / "recorder.sock")
    yield recorder
    server.close()
    for writer in recorder.writers:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@pytest.fixture
async def live(recorder: Recorder, sockets: Path) -> AsyncIterator[Front]:
    async with opened(Backends(str(sockets / "nobody.sock"), str(sockets / "recorder.sock"))) as front:
        yield front


@pytest.fixture
async def recorded(recorder: Recorder, sockets: Path) -> AsyncIterator[Front]:
    """The recorder plays the web side, with limits short enough to be met."""
    limits = Limits(head=0.2, body=0.2, response=0.5, idle=0.2, half_closed=0.1, linger=0.2, tick=0.02)
    async with opened(Backends(str(sockets / "recorder.sock"), str(sockets / "nobody.sock")), limits) as front:
        yield front


# --- requests -------------------------------------------------------------------------------


async def test_every_request_of_a_connection_carries_the_clients_address_and_no_spoofed_one(front: Front):
    spoofed = {"X-Forwarded-For": "6.6.6.6", "X_Forwarded_For": "6.6.6.6", "X-Real-IP": "6.6.6.6"}
    async with httpx.AsyncClient(base_url=front.url, limits=httpx.Limits(max_connections=1)) as client:
        for _ in range(3):
            answer = await client.post("/a", headers=spoofed, content=b"body")
            seen = answer.json()
            assert seen["forwarded"] == {"HTTP_X_FORWARDED_FOR": "127.0.0.1", "HTTP_X_FORWARDED_PROTO": "http"}
            assert seen["length"] == 4


async def test_pipelined_requests_are_answered_in_order(front: Front):
    request = b"POST /%d HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc"
    reader, _ = await front.connect(b"".join(request % number for number in range(20)))
    for number in range(20):
        status, body = await response(reader)
        assert (status, json.loads(body)["path"]) == (200, f"/{number}")
        assert json.loads(body)["forwarded"]["HTTP_X_FORWARDED_FOR"] == "127.0.0.1"


async def test_a_request_may_come_byte_by_byte(front: Front):
    reader, writer = await front.connect()
    for byte in b"\r\nPOST /slow HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\n\r\nbody":
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0)
    status, body = await response(reader)
    assert (status, json.loads(body)["length"]) == (200, 4)


async def test_large_bodies_pass_both_ways(front: Front):
    size = 20_000_000
    async with httpx.AsyncClient(base_url=front.url) as client:
        assert (await client.post("/a", content=b"x" * size)).json()["length"] == size
        assert len((await client.get(f"/big/{size}")).content) == size


async def test_a_client_that_reads_slowly_holds_back_the_server(recorded: Front, recorder: Recorder):
    reader, _ = await recorded.connect(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
    await recorder.until(b"\r\n\r\n")
    recorder.say(b"x" * 50_000_000)
    assert recorder.writer is not None
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await recorder.writer.drain()
    assert recorder.writer.transport.get_write_buffer_size() > 20_000_000
    async with asyncio.timeout(10):
        await reader.readexactly(50_000_000)


async def test_a_request_may_ask_before_it_sends_its_body(front: Front):
    head = b"POST / HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n"
    reader, writer = await front.connect(head)
    async with asyncio.timeout(5):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
    writer.write(b"body")
    status, body = await response(reader)
    assert (status, json.loads(body)["length"]) == (200, 4)


async def test_http_1_0_is_answered_and_closed(front: Front):
    reader, _ = await front.connect(b"GET / HTTP/1.0\r\n\r\n")
    answer = await everything(reader)
    assert answer.startswith(b"HTTP/1.0 200")
    assert b"127.0.0.1" in answer


async def test_a_client_that_ends_its_half_still_gets_the_answer(front: Front):
    reader, writer = await front.connect(b"GET /half HTTP/1.1\r\n" + HOST + b"\r\n")
    writer.write_eof()
    status, body = await response(reader)
    assert (status, json.loads(body)["path"]) == (200, "/half")


async def test_a_half_closed_connection_ends_after_its_answer(recorded: Front, recorder: Recorder):
    reader, writer = await recorded.connect(b"GET /half HTTP/1.1\r\n" + HOST + b"\r\n")
    writer.write_eof()
    await recorder.until(b"\r\n\r\n")
    recorder.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert (await everything(reader)).endswith(b"Content-Length: 0\r\n\r\n")
    await recorder.until_ended()


# --- refusals -------------------------------------------------------------------------------


async def test_nothing_behind_a_chunked_body_is_taken_for_a_request(front: Front):
    smuggled = b"GET /admin/ HTTP/1.1\r\n" + HOST + b"X-Forwarded-For: 6.6.6.6\r\n\r\n"
    chunked = b"POST /first HTTP/1.1\r\n" + HOST + b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
    reader, _ = await front.connect(chunked + b"5\r\nhello\r\n0\r\n\r\n" + smuggled)
    answer = await everything(reader)
    assert answer.count(b"HTTP/1.1") == 1
    assert b'"path": "/first"' in answer
    assert b'"length": 5' in answer


@pytest.mark.parametrize(
    "framing",
    [b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", b"Content-Length: 0\r\nContent-Length: 44\r\n"],
)
async def test_a_smuggled_request_is_refused_and_never_reaches_the_backend(
    recorded: Front, recorder: Recorder, framing: bytes
):
    smuggled = b"GET /admin/ HTTP/1.1\r\n" + HOST + b"\r\n"
    reader, _ = await recorded.connect(b"POST / HTTP/1.1\r\n" + HOST + framing + b"\r\n" + smuggled)
    answer = await everything(reader)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert recorder.writer is None


async def test_a_refusal_has_the_problem_shape_and_ends_the_connection(front: Front):
    reader, _ = await front.connect(b"nonsense\r\n\r\n")
    head, _, body = (await everything(reader)).partition(b"\r\n\r\n")
    assert b"Content-Type: application/problem+json" in head
    assert b"Connection: close" in head
    problem = json.loads(body)
    assert (problem["type"], problem["status"], problem["code"]) == ("about:blank", 400, "bad_request")


async def test_a_head_that_is_too_long_is_refused(front: Front):
    reader, _ = await front.connect(b"GET / HTTP/1.1\r\n" + HOST + b"A: " + b"a" * 70_000)
    assert (await everything(reader)).startswith(b"HTTP/1.1 431 ")


async def test_a_head_that_takes_too_long_is_refused(recorded: Front):
    reader, _ = await recorded.connect(b"GET / HTTP/1.1\r\nHost:")
    assert (await everything(reader)).startswith(b"HTTP/1.1 408 ")


async def test_silent_connections_are_closed(recorded: Front, recorder: Recorder):
    silent, _ = await recorded.connect()
    half_a_body, _ = await recorded.connect(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\nab")
    assert await everything(silent) == b""
    assert await everything(half_a_body) == b""
    await recorder.until_ended()


# --- backends -------------------------------------------------------------------------------


async def test_a_backend_that_is_not_there_yet_is_a_503_to_be_retried(sockets: Path):
    nobody = str(sockets / "nobody.sock")
    async with opened(Backends(nobody, nobody)) as front, httpx.AsyncClient(base_url=front.url) as client:
        answer = await client.post("/", content=b"x" * 1_000_000)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "starting"


async def test_a_backend_that_dies_before_it_answers_is_a_502(recorded: Front, recorder: Recorder):
    reader, _ = await recorded.connect(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
    await recorder.until(b"\r\n\r\n")
    assert recorder.writer is not None
    recorder.writer.transport.abort()
    answer = await everything(reader)
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b'"interrupted"' in answer


async def test_a_backend_that_dies_in_the_middle_of_an_answer_ends_the_connection(recorded: Front, recorder: Recorder):
    reader, _ = await recorded.connect(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
    await recorder.until(b"\r\n\r\n")
    recorder.say(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf")
    async with asyncio.timeout(5):
        assert (await reader.readuntil(b"half")).startswith(b"HTTP/1.1 200")
    assert recorder.writer is not None
    recorder.writer.transport.abort()
    assert await everything(reader) == b""


async def test_a_client_that_goes_away_frees_its_backend(recorded: Front, recorder: Recorder):
    _, writer = await recorded.connect(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 99\r\n\r\nab")
    await recorder.until(b"ab")
    writer.transport.abort()
    await recorder.until_ended()


async def test_an_answer_that_is_due_still_arrives_when_the_splitter_stops(recorder: Recorder, sockets: Path):
    splitter = Splitter(Backends(str(sockets / "recorder.sock"), str(sockets / "nobody.sock")))
    front = Front(await splitter.listen("127.0.0.1", 0))
    idle, _ = await front.connect()
    reader, _ = await front.connect(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
    await recorder.until(b"\r\n\r\n")
    closing = asyncio.create_task(splitter.close())
    assert await everything(idle) == b""
    recorder.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert (await everything(reader)).startswith(b"HTTP/1.1 200 OK")
    await closing
    await front.close()


# --- WebSocket ------------------------------------------------------------------------------


async def test_a_websocket_is_relayed_both_ways_after_its_handshake(live: Front, recorder: Recorder):
    reader, writer = await live.connect(UPGRADE)
    await recorder.until(b"X-Forwarded-For: 127.0.0.1\r\n")
    recorder.say(SWITCHED)
    async with asyncio.timeout(5):
        assert await reader.readuntil(b"\r\n\r\n") == SWITCHED
    writer.write(b"from the client \x00\r\n\r\n")
    await recorder.until(b"from the client \x00\r\n\r\n")
    recorder.say(b"from the server \x00")
    async with asyncio.timeout(5):
        assert await reader.readexactly(17) == b"from the server \x00"
    writer.write_eof()
    await recorder.until_ended()


async def test_frames_sent_ahead_of_the_handshakes_end_arrive_after_it(live: Front, recorder: Recorder):
    await live.connect(UPGRADE + b"early frame")
    await recorder.until(b"\r\n\r\n")
    assert b"early frame" not in recorder.received
    recorder.say(SWITCHED)
    await recorder.until(b"early frame")


async def test_nothing_behind_a_refused_handshake_reaches_the_backend(live: Front, recorder: Recorder):
    spoofed = UPGRADE.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n")
    reader, writer = await live.connect(UPGRADE + spoofed)
    await recorder.until(b"\r\n\r\n")
    recorder.say(b"HTTP/1.1 403 Access denied\r\n\r\n")
    async with asyncio.timeout(5):
        await reader.readuntil(b"\r\n\r\n")
    writer.write(spoofed)
    await writer.drain()
    assert recorder.writer is not None
    recorder.writer.close()
    assert await everything(reader) == b""
    assert b"6.6.6.6" not in recorder.received


async def test_a_websocket_may_begin_on_a_connection_that_served_http(granian: str, recorder: Recorder, sockets: Path):
    async with opened(Backends(granian, str(sockets / "recorder.sock"))) as both:
        reader, writer = await both.connect(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        assert (await response(reader))[0] == 200
        writer.write(UPGRADE)
        await recorder.until(b"X-Forwarded-For: 127.0.0.1\r\n")
        recorder.say(SWITCHED)
        async with asyncio.timeout(5):
            assert await reader.readuntil(b"\r\n\r\n") == SWITCHED


async def test_a_websocket_request_is_refused_while_an_answer_is_due(recorded: Front, recorder: Recorder):
    reader, _ = await recorded.connect(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n" + UPGRADE)
    assert (await everything(reader)).startswith(b"HTTP/1.1 421 ")


POLL = b"GET /api/events?wait=30 HTTP/1.1\r\n" + HOST + b"\r\n"


async def test_requests_for_events_and_others_take_turns_on_one_connection(
    granian: str, recorder: Recorder, sockets: Path
):
    async with opened(Backends(granian, str(sockets / "recorder.sock"))) as both:
        reader, writer = await both.connect()
        for wait in (b"wait=1", b"wait=2"):
            writer.write(POLL.replace(b"wait=30", wait))
            await recorder.until(wait)
            recorder.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            assert await response(reader) == (200, b"{}")
            writer.write(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            assert (await response(reader))[0] == 200


async def test_who_waits_for_events_and_hangs_up_is_told_to_the_live_side(sockets: Path, recorder: Recorder):
    limits = Limits(half_closed=0.1, tick=0.02)
    async with opened(Backends(str(sockets / "nobody.sock"), str(sockets / "recorder.sock")), limits) as live:
        _, writer = await live.connect(POLL)
        await recorder.until(b"wait=30")
        writer.write_eof()
        await recorder.until_ended()


async def test_a_handshake_waits_for_no_answer_of_another_request(live: Front, recorder: Recorder):
    reader, _ = await live.connect(POLL + UPGRADE)
    assert (await everything(reader)).startswith(b"HTTP/1.1 421 ")


@pytest.mark.parametrize("head", [b"Transfer-Encoding: chunked", b"Content-Length: 100000000"])
async def test_what_a_backend_answers_without_reading_all_is_heard(sockets: Path, head: bytes):
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        writer.close()

    path = str(sockets / "refuses.sock")
    async with await asyncio.start_unix_server(refuse, path), opened(Backends(path, path)) as front:
        for _ in range(20):
            reader, writer = await front.connect(b"POST / HTTP/1.1\r\n" + HOST + head + b"\r\n\r\n")
            answer = asyncio.create_task(everything(reader))
            while not answer.done():
                writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
                await asyncio.sleep(0)
            assert (await answer).endswith(b"\r\n\r\nno")
            writer.close()
