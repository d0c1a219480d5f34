"""What WebSockets tell."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from channels.layers import get_channel_layer

from config.asgi import application
from config.ids import new_id
from conftest import Person
from webhooks.announcer import group_of
from webhooks.live import feeds, wires
from webhooks.live.frames import frame
from webhooks.tests.sockets import commit, commit_unannounced, opens, outside, received, socket

pytestmark = pytest.mark.usefixtures("committed")


async def test_events_arrive_as_they_are_committed(key: str, draft: Any) -> None:
    async with socket(key) as communicator:
        assert await opens(communicator)
        (event,) = await outside(commit, draft())
        assert await received(communicator, 1) == [event.payload()]


async def test_a_new_socket_gets_no_old_events(key: str, draft: Any) -> None:
    await outside(commit, draft(), draft())
    async with socket(key) as communicator:
        assert await opens(communicator)
        (event,) = await outside(commit, draft())
        assert await received(communicator, 1) == [event.payload()]


async def test_an_x_api_key_header_opens_too(key: str) -> None:
    async with socket(x_api_key=key) as communicator:
        assert await opens(communicator)


async def test_many_events_of_many_threads_arrive_once_and_in_order(key: str, draft: Any) -> None:
    instances = [new_id("ins") for _ in range(4)]
    async with socket(key) as communicator:
        assert await opens(communicator)

        def write() -> None:
            for instance in instances * 5:
                commit(draft(instance_id=instance), draft(instance_id=instance))

        for future in [outside(write) for _ in range(3)]:
            await future
        frames = await received(communicator, 120)
        for instance in instances:
            assert [f["sequence"] for f in frames if f["instance"] == instance] == list(range(1, 31))


async def test_a_lost_message_is_repaired_when_the_next_one_shows_the_gap(key: str, draft: Any) -> None:
    async with socket(key) as communicator:
        assert await opens(communicator)
        await outside(commit, draft())
        await outside(commit_unannounced, *[draft() for _ in range(450)])
        await outside(commit, draft())
        assert [frame["sequence"] for frame in await received(communicator, 452)] == list(range(1, 453))


async def test_a_lost_last_message_is_repaired_by_the_slow_check(
    key: str, draft: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "CHECK_SECONDS", 0.3)
    async with socket(key) as communicator:
        assert await opens(communicator)
        await outside(commit_unannounced, draft(), draft(instance_id=new_id("ins")))
        assert [frame["sequence"] for frame in await received(communicator, 2)] == [1, 1]


async def test_messages_out_of_order_and_twice_are_put_right(alice: Person, key: str, draft: Any) -> None:
    async with socket(key) as communicator:
        assert await opens(communicator)
        events = await outside(commit_unannounced, draft(), draft(), draft())
        frames = [frame(event) for event in events]
        group = group_of(alice.organization.id, "sandbox")
        for index in (1, 0, 2, 1):
            await get_channel_layer().group_send(group, {"type": "events.appended", "frames": [frames[index]]})
        assert [frame["sequence"] for frame in await received(communicator, 3)] == [1, 2, 3]
        assert await communicator.receive_nothing(timeout=0.2)


async def test_another_tenant_hears_nothing(charlie: Person, draft: Any) -> None:
    async with socket(await outside(charlie.key)) as communicator:
        assert await opens(communicator)
        await outside(commit, draft())
        (event,) = await outside(commit, draft(organization_id=charlie.organization.id, instance_id=new_id("ins")))
        assert await received(communicator, 1) == [event.payload()]


async def test_a_key_hears_its_own_network_only_and_a_person_both(
    alice: Person, key: str, access: str, draft: Any
) -> None:
    live_key = await outside(alice.key, mode="live")
    async with socket(key) as test, socket(live_key) as real, socket(access) as person:
        for communicator in (test, real, person):
            assert await opens(communicator)
        (whatsapp,) = await outside(commit, draft(network="whatsapp", instance_id=new_id("ins")))
        (sandbox,) = await outside(commit, draft())
        assert await received(test, 1) == [sandbox.payload()]
        assert await received(real, 1) == [whatsapp.payload()]
        assert await received(person, 2) == [whatsapp.payload(), sandbox.payload()]


async def test_a_reader_that_takes_nothing_is_cut_off_with_4408(
    key: str, draft: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wires, "SLOW_SECONDS", 0.2)
    requests: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "websocket.send":
            await asyncio.Event().wait()  # as with a full transport buffer
        answers.put_nowait(message)

    headers = [(b"authorization", f"Bearer {key}".encode())]
    scope = {"type": "websocket", "path": "/ws/events", "query_string": b"", "headers": headers}
    requests.put_nowait({"type": "websocket.connect"})
    served = asyncio.create_task(application(scope, requests.get, send))
    assert (await answers.get())["type"] == "websocket.accept"
    await outside(commit, draft())
    closed = await answers.get()
    assert (closed["type"], closed["code"]) == ("websocket.close", 4408)
    requests.put_nowait({"type": "websocket.disconnect", "code": 4408})
    await served
