"""Processes are killed while events are written; a socket that resumes hears each of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import aiohttp
import httpx
import pytest

from stack.testing import RunningStack
from tests.product import Api, wait_for, wait_until_answered

# PostgreSQL can be killed as well; that the log is read without gaps on SQLite is tried in webhooks/tests.
pytestmark = [pytest.mark.end_to_end, pytest.mark.only_with("postgres")]
EVENTS = 120  # at least, of each kill


class Reader:
    """Reads ``/ws/events`` and goes on from its last cursor whenever a socket ends."""

    def __init__(self, api: Api) -> None:
        self.heard: list[dict[str, Any]] = []
        self.sockets = 0
        self.cursor = "latest"
        self._api = api
        self._ended = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._read()), daemon=True)
        self._thread.start()

    async def _read(self) -> None:
        headers = {"Authorization": f"Bearer {self._api.credential}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            while not self._ended.is_set():
                try:
                    async with session.ws_connect(
                        f"{self._api.address}/ws/events", params={"after": self.cursor}
                    ) as socket:
                        await self._hear(socket)
                except (aiohttp.ClientError, OSError):
                    await asyncio.sleep(0.1)

    async def _hear(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while not self._ended.is_set():
            try:
                message = await socket.receive(timeout=0.5)
            except TimeoutError:
                continue
            if message.type is not aiohttp.WSMsgType.TEXT:
                return
            frame = message.json()
            self.sockets += frame.get("action") == "ready"
            self.cursor = frame.get("cursor", self.cursor)
            if "sequence" in frame:
                self.heard.append(frame)

    def end(self) -> None:
        self._ended.set()
        self._thread.join(20)


@contextmanager
def reading(api: Api) -> Iterator[Reader]:
    reader = Reader(api)
    try:
        wait_for(lambda: reader.sockets, 20, "the socket")
        yield reader
    finally:
        reader.end()


def _wait_for_live(api: Api) -> None:
    """The process that was killed may be the one that answers for events."""
    wait_for(lambda: api.http.get("/api/events", params={"limit": 1}).is_success, 60, "an answer of the live process")


def _log_after(api: Api, cursor: str) -> list[dict[str, Any]]:
    """What the log says, by asking for it."""
    events: list[dict[str, Any]] = []
    while True:
        page = api.get("/events", after=cursor, limit=100)
        events += page["results"]
        if not page["has_more"]:
            return events
        cursor = page["next"]


@pytest.mark.parametrize("victim", ["live", "valkey", "web", "postgres"])
def test_a_resuming_socket_hears_every_event(stack: RunningStack, acme: Api, victim: str) -> None:
    instances = [acme.post("/instances", {"name": "Shop", "network": "sandbox"})["id"] for _ in range(2)]
    _wait_for_live(acme)
    start = acme.get("/events", after="latest")["next"]

    def write(number: int) -> bool:
        """As somebody who asks again until it worked."""
        try:
            path = f"/api/instances/{instances[number % 2]}"
            return acme.http.patch(path, json={"name": f"Shop {number}"}).is_success
        except httpx.TransportError:
            return False

    with reading(acme) as reader:
        for number in range(EVENTS):
            wait_for(partial(write, number), 60, "a write")
            if number == EVENTS // 3:
                stack.wait_for_restart(victim, stack.kill(victim), seconds=60)
        _wait_for_live(acme)
        written = _log_after(acme, start)
        assert len(written) >= EVENTS
        wait_for(
            lambda: {event["id"] for event in reader.heard} >= {event["id"] for event in written}, 30, "the last events"
        )
    heard = {event["id"]: event for event in reader.heard}
    assert heard == {event["id"]: event for event in written}
    for instance in instances:
        first_heard = [event["sequence"] for event in heard.values() if event["instance"] == instance]
        assert first_heard == sorted(first_heard)
    wait_until_answered(acme)  # for the next test
    print(f"{victim}: {len(written)} events, {reader.sockets} sockets, {len(reader.heard) - len(heard)} heard again")
