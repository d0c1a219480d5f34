"""Thousands of events while processes are killed and the receivers fail: each reaches every reader.

A long run: ``EVENT_MESSAGES=6700 SEED=7 make test T=tests/test_kills_events.py``; a message makes three events.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import httpx
import pytest

from stack.testing import RunningStack
from tests.product import Api, Receiver, register, wait_for

pytestmark = [pytest.mark.end_to_end, pytest.mark.only_with("postgres")]
MESSAGES = int(os.environ.get("EVENT_MESSAGES", "150"))
SEED = int(os.environ.get("SEED", "5"))
VICTIMS = ("tasks", "web", "live", "valkey", "postgres")
_BATCH = 50


class Failing(Receiver):
    """Every third request gets a 500; ``taken`` are the bodies of the others, as they came, ``ids`` their events'."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.ids: set[str] = set()
        self._count = itertools.count(1)
        super().__init__()

    def status(self, body: bytes) -> int:
        if next(self._count) % 3 == 0:
            return 500
        self.taken.append(body)
        self.ids.add(json.loads(body)["id"])
        return 204


class Listener(threading.Thread):
    """Collects events from a cursor on until it is ``over``."""

    def __init__(self, api: Api, cursor: str) -> None:
        super().__init__(daemon=True)
        self.api, self.cursor, self.events, self.over = api, cursor, list[dict[str, Any]](), threading.Event()


class Pull(Listener):
    """Reads ``GET /api/events``, however often it is refused."""

    def run(self) -> None:
        while not self.over.is_set():
            try:
                answer = self.api.http.get("/api/events", params={"after": self.cursor, "wait": 2, "limit": 100})
                if answer.is_success:
                    page = answer.json()
                    self.events += page["results"]
                    self.cursor = page["next"]
                    continue
                assert answer.status_code in (429, 500, 502, 503), answer.text
            except httpx.TransportError:
                pass
            time.sleep(0.1)


class Socket(Listener):
    """Listens at ``/ws/events``, and goes on from the last cursor it was told whenever the socket ends."""

    opened = 0

    def run(self) -> None:
        asyncio.run(self._listen())

    async def _listen(self) -> None:
        headers = {"Authorization": f"Bearer {self.api.credential}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            while not self.over.is_set():
                try:
                    url = f"{self.api.address.replace('http', 'ws', 1)}/ws/events"
                    async with session.ws_connect(url, params={"after": self.cursor}) as socket:
                        self.opened += 1
                        await self._hear(socket)
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.1)

    async def _hear(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while not self.over.is_set():
            try:
                message = await socket.receive(timeout=1)
            except TimeoutError:
                continue
            if message.type is not aiohttp.WSMsgType.TEXT:
                return
            frame = json.loads(message.data)
            self.cursor = frame.get("cursor", self.cursor)
            if "action" not in frame:
                self.events.append(frame)


def stream(event: dict[str, Any]) -> str:
    return event["instance"] or "the organization"


def chat(event: dict[str, Any]) -> tuple[str, str]:
    return stream(event), str((event["data"].get("chat") or {}).get("id"))


def first_times(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for event in events:
        found.setdefault(event["id"], event)
    return list(found.values())


def out_of_order(events: list[dict[str, Any]], key: Any) -> list[list[int]]:
    heard = defaultdict(list)
    for event in first_times(events):
        heard[key(event)].append(event["sequence"])
    return [sequences for sequences in heard.values() if sequences != sorted(sequences)]


def send_all(api: Api, senders: list[str], phones: list[str]) -> int:
    """Send batches, each again under its key until it is answered; how many messages were accepted."""
    accepted = 0
    for start in range(0, MESSAGES, _BATCH):
        numbers = range(start, min(start + _BATCH, MESSAGES))
        messages = [
            {
                "instance": senders[number % len(senders)],
                "to": phones[number % len(phones)],
                "text": {"body": f"event {number}"},
            }
            for number in numbers
        ]
        deadline = time.monotonic() + 120
        while True:
            assert time.monotonic() < deadline
            try:
                headers = {"Idempotency-Key": f"batch {start}"}
                answer = api.http.post("/api/messages/batch", json={"messages": messages}, headers=headers)
                if answer.status_code == 202:
                    accepted += sum(one["status"] == 202 for one in answer.json()["results"])
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.2)
    return accepted


def kill_at_random(stack: RunningStack, sending: Any) -> list[str]:
    """Kill each of the victims, and more as long as messages are sent; their names."""
    dice, killed = random.Random(SEED), list[str]()
    order = dice.sample(VICTIMS, len(VICTIMS))
    while order or not sending.done():
        victim = order.pop() if order else dice.choice(VICTIMS)
        time.sleep(dice.uniform(0.5, 2.0))
        # A server that was killed may need more than one try to come back.
        wait_for(lambda name=victim: stack.processes()[name]["pid"], 60, victim)  # type: ignore[misc]
        stack.wait_for_restart(victim, stack.kill(victim))
        killed.append(victim)
    return killed


def is_quiet(api: Api, instances: list[str]) -> bool:
    try:
        open_ones = [
            api.get("/messages", instance=instance, status=status, limit=1)["results"]
            for instance in instances
            for status in ("queued", "sending", "sent")
        ]
    except (httpx.TransportError, AssertionError):
        return False
    return not any(open_ones)


@pytest.fixture
def listen() -> Iterator[Callable[[Listener], Listener]]:
    """Starts listeners, and ends them before the clients are closed that they use."""
    started: list[Listener] = []

    def listen(listener: Listener) -> Listener:
        started.append(listener)
        listener.start()
        return listener

    yield listen
    for listener in started:
        listener.over.set()
        listener.join(30)


@pytest.mark.timeout(180 + MESSAGES)
def test_every_event_reaches_every_reader_although_everything_dies(
    stack: RunningStack, listen: Callable[[Any], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    owner = register(stack.address)
    api = Api(stack.address, owner.key())
    instances = [api.linked()[0] for _ in range(2)]
    phones = [api.phone(f"Carla {number}") for number in range(max(10, MESSAGES // 50))]
    receivers = {"none": Failing(), "chat": Failing()}
    heard_by = {"none": instances, "chat": instances[:1]}  # to keep order takes longer
    for ordering, receiver in receivers.items():
        body = {"url": receiver.url, "events": ["*"], "instances": heard_by[ordering], "ordering": ordering}
        api.post("/webhooks", body)
    # A test before may have killed the database under a connection of the live process.
    start = wait_for(lambda: api.http.get("/api/events", params={"after": "latest"}).json().get("next"))
    pull, socket = listen(Pull(Api(stack.address, api.credential), start)), listen(Socket(api, start))
    with ThreadPoolExecutor(1) as threads:
        sending = threads.submit(send_all, api, instances, phones)
        killed = kill_at_random(stack, sending)
        accepted = sending.result()
    wait_for(lambda: is_quiet(api, instances), 120 + MESSAGES / 10, "the last receipt")
    log = read_log(api, start)
    ids = {event["id"] for event in log}

    wanted = {name: {one["id"] for one in log if one["instance"] in heard_by[name]} for name in receivers}

    def missing() -> dict[str, int]:
        left = {name: len(wanted[name] - receiver.ids.copy()) for name, receiver in receivers.items()}
        left |= {"socket": len(ids - {one["id"] for one in socket.events})}
        left |= {"pull": len(ids - {one["id"] for one in pull.events})}
        return {name: count for name, count in left.items() if count}

    wait_for(lambda: not missing(), 90 + MESSAGES / 10, lambda: f"what is missing: {missing()}")
    for listener in (pull, socket):
        listener.over.set()
        listener.join(30)
    doubled = {name: len(one.taken) - len(set(one.taken)) for name, one in receivers.items()}
    doubled["socket"] = len(socket.events) - len(ids)
    with capsys.disabled():
        print(f"\nseed {SEED}, killed {', '.join(killed)}: {accepted} messages, {len(log)} events, 0 lost by webhooks,")
        print(f"socket and pull; told twice: {doubled}; the socket was opened {socket.opened} times")
    assert accepted == MESSAGES
    assert Counter(event["type"] for event in log)["message.queued"] == MESSAGES
    for name in instances:
        sequences = [event["sequence"] for event in log if event["instance"] == name]
        assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))
    assert [one["id"] for one in pull.events] == list(dict.fromkeys(one["id"] for one in pull.events))
    assert out_of_order(pull.events, stream) == []
    assert out_of_order(socket.events, stream) == []
    assert out_of_order([json.loads(body) for body in receivers["chat"].taken], chat) == []
    for receiver in receivers.values():
        bodies = set(receiver.taken)
        assert len(bodies) == len({json.loads(body)["id"] for body in bodies})  # what comes twice is the same
        receiver.close()


def asked(api: Api, cursor: str) -> Any:
    """A page of the log; None while processes are away."""
    try:
        answer = api.http.get("/api/events", params={"after": cursor, "limit": 100})
    except httpx.TransportError:
        return None
    return answer.json() if answer.is_success else None


def read_log(api: Api, cursor: str) -> list[dict[str, Any]]:
    events = []
    while True:
        page = wait_for(lambda c=cursor: asked(api, c), 60, "a page of the log")  # type: ignore[misc]
        events += page["results"]
        cursor = page["next"]
        if not page["has_more"]:
            return events
