"""What daphne makes of live sockets: refusals, readers that are too slow, and two processes."""

from __future__ import annotations

import asyncio
import select
import socket as sockets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from pytest_django import Settings

from conftest import Person
from webhooks.tests.conftest import wait_for
from webhooks.tests.sockets import commit, opens, outside, received, refusal, socket
from webhooks.tests.test_daphne import upgrade


def _answer(path: Path, target: str, *headers: str) -> tuple[bytes, dict[str, Any]]:
    """Status line and problem of a handshake that is refused."""
    with upgrade(path, target, *headers) as client:
        data = b""
        while piece := client.recv(4096):
            data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower()
    return head.split(b"\r\n")[0], orjson.loads(body)


def test_refusals_have_a_status_and_a_problem(live_socket: Path, alice: Person) -> None:
    key = f"X-API-Key: {alice.key()}"
    for target, headers, status, code in [
        ("/ws/events", (), b"HTTP/1.1 401 Unauthorized", "not_authenticated"),
        ("/ws/events?types=nonsense", (key,), b"HTTP/1.1 400 Bad Request", "invalid_request"),
        ("/ws/events", (key, "Origin: https://evil.example"), b"HTTP/1.1 403 Forbidden", "origin_not_allowed"),
    ]:
        line, problem = _answer(live_socket, target, *headers)
        assert (line, problem["code"]) == (status, code)


def _frames(data: bytes) -> list[bytes]:
    """The payloads of whole text frames; the last one may be cut off."""
    found = []
    while len(data) > 4:
        length, start = data[1], 2
        if length == 126:
            length, start = int.from_bytes(data[2:4]), 4
        if len(data) < start + length:
            break
        if data[0] == 0x81:
            found.append(data[start : start + length])
        data = data[start + length :]
    return found


def _read_to_the_end(client: sockets.socket) -> bytes:
    data = b""
    try:
        while piece := client.recv(65536):
            data += piece
    except ConnectionResetError:
        pass
    return data.partition(b"\r\n\r\n")[2]


async def test_a_reader_that_was_cut_off_goes_on_from_its_last_cursor(
    live_socket: Path, alice: Person, draft: Callable[..., Any]
) -> None:
    key = f"X-API-Key: {await outside(alice.key)}"

    def write() -> None:
        for _ in range(40):
            commit(*[draft(data={"text": 10_000 * "a"}) for _ in range(5)])

    with upgrade(live_socket, "/ws/events", key) as stuck:
        assert await outside(stuck.recv, 12) == b"HTTP/1.1 101"
        await outside(write)
        poll = select.poll()
        poll.register(stuck, 0)
        await outside(wait_for, lambda: poll.poll(0), 20)
        frames = [orjson.loads(text) for text in _frames(await outside(_read_to_the_end, stuck))]
    seen = [frame["sequence"] for frame in frames if "sequence" in frame]
    assert 0 < len(seen) < 200
    cursor = [frame["cursor"] for frame in frames if "cursor" in frame][-1]
    connector = aiohttp.UnixConnector(str(live_socket))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.ws_connect(
            f"http://localhost/ws/events?after={cursor}", headers={"X-API-Key": key.split()[1]}
        ) as again,
    ):
        async with asyncio.timeout(20):
            while max(seen) < 200:
                frame = await again.receive_json()
                seen += [frame["sequence"]] if "sequence" in frame else []
    assert set(seen) == set(range(1, 201))


@pytest.mark.usefixtures("committed")
async def test_two_processes_hear_the_same_and_count_together(
    live_socket: Path, key: str, draft: Callable[..., Any], settings: Settings
) -> None:
    settings.SOCKETS_PER_ORGANIZATION = 2
    connector = aiohttp.UnixConnector(str(live_socket))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.ws_connect("http://localhost/ws/events", headers={"X-API-Key": key}) as there,
        socket(key) as here,
        socket(key) as refused,
    ):
        assert (await there.receive_json())["action"] == "ready"
        assert await opens(here)
        assert (await refusal(refused))["code"] == "too_many_sockets"
        events = await outside(commit, draft(), draft())
        expected = [event.payload() for event in events]
        assert await received(here, 2) == expected
        assert [await there.receive_json() for _ in range(2)] == expected
