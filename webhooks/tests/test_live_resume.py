"""Subscriptions that change, and sockets that go on where another one ended."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator

from config.asgi import application
from config.ids import new_id
from conftest import Person
from webhooks import cursors
from webhooks.live import feeds, listening, wires
from webhooks.models import Counter, Event
from webhooks.tests.sockets import (
    commit,
    commit_unannounced,
    cursor_of,
    opens,
    outside,
    received,
    said,
    socket,
)  # fmt: skip

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "POSITION_SECONDS", 0.05)


def resuming(key: str, cursor: str) -> Any:
    return socket(key, path=f"/ws/events?after={cursor}")


async def subscriptions_of(communicator: WebsocketCommunicator) -> list[Any]:
    return list((await said(communicator, "subscribed"))["subscriptions"])


async def test_a_ping_is_answered(key: str) -> None:
    async with socket(key) as communicator:
        assert await opens(communicator)
        await communicator.send_json_to({"action": "ping"})
        assert await said(communicator, "pong") == {}


async def test_subscriptions_come_and_go(key: str, draft: Any) -> None:
    mine = new_id("ins")
    everything = {"types": ["*"], "instances": None}
    states = {"types": ["instance.state"], "instances": [mine]}
    async with socket(key) as communicator:
        assert await opens(communicator)
        await communicator.send_json_to({"action": "subscribe", **states})
        assert await subscriptions_of(communicator) == [everything, states]
        await communicator.send_json_to({"action": "subscribe", "types": ["instance.state"], "instances": [mine]})
        assert await subscriptions_of(communicator) == [everything, states]
        await communicator.send_json_to({"action": "unsubscribe", "types": ["*"]})
        assert await subscriptions_of(communicator) == [states]
        *_, wanted = await outside(
            commit,
            draft(instance_id=mine),
            draft(type="instance.state"),
            draft(instance_id=mine, type="instance.state"),
        )
        assert await received(communicator, 1) == [wanted.payload()]
        await cursor_of(communicator)
        await communicator.send_json_to({"action": "unsubscribe"})
        assert await subscriptions_of(communicator) == []
        await outside(commit, draft(instance_id=mine, type="instance.state"))
        await communicator.send_json_to({"action": "subscribe", "types": ["message.sent"]})
        await said(communicator, "subscribed")
        (wanted,) = await outside(commit, draft(instance_id=mine, type="message.sent"))
        assert await received(communicator, 1) == [wanted.payload()]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("nonsense", "malformed_json"),
        ("[]", "malformed_json"),
        ("{}", "invalid_request"),
        ('{"action": "sing"}', "invalid_request"),
        ('{"action": ["ping"]}', "invalid_request"),
        ('{"action": "ping", "more": 1}', "invalid_request"),
        ('{"action": "subscribe", "types": ["nonsense"]}', "invalid_request"),
        ('{"action": "subscribe", "types": "*"}', "invalid_request"),
        ('{"action": "subscribe", "instances": ["ins_1"]}', "invalid_request"),
        ('{"action": "subscribe", "colour": "red"}', "invalid_request"),
        ('"' + 9_000 * "a" + '"', "body_too_large"),
    ],
)
async def test_what_is_wrong_is_answered_and_the_socket_stays(key: str, draft: Any, text: str, code: str) -> None:
    async with socket(key) as communicator:
        assert await opens(communicator)
        await communicator.send_to(text_data=text)
        assert (await said(communicator, "error"))["code"] == code
        await communicator.send_to(bytes_data=b"\xff")
        assert (await said(communicator, "error"))["code"] == "malformed_json"
        (event,) = await outside(commit, draft())
        assert await received(communicator, 1) == [event.payload()]


async def test_a_socket_has_a_bounded_number_of_subscriptions(key: str) -> None:
    async with socket(key) as communicator:
        assert await opens(communicator)
        for _ in range(19):
            await communicator.send_json_to({"action": "subscribe", "instances": [new_id("ins")]})
            await said(communicator, "subscribed")
        await communicator.send_json_to({"action": "subscribe", "instances": [new_id("ins")]})
        assert (await said(communicator, "error"))["code"] == "invalid_request"


async def test_a_new_socket_goes_on_from_the_cursor_of_another(key: str, draft: Any) -> None:
    async with socket(key) as communicator:
        assert await opens(communicator)
        await outside(commit, draft(), draft())
        await received(communicator, 2)
        cursor = await cursor_of(communicator)
    missed = await outside(commit, *[draft() for _ in range(450)], draft(instance_id=new_id("ins")))
    async with resuming(key, cursor) as communicator:
        assert await opens(communicator)
        assert len(await received(communicator, 451)) == len(missed)
        (event,) = await outside(commit, draft())
        assert await received(communicator, 1) == [event.payload()]


async def test_the_cursor_of_ready_is_the_place_before_the_first_event(key: str, draft: Any) -> None:
    await outside(commit, draft())
    async with socket(key) as communicator:
        assert (await communicator.connect(timeout=10))[0]
        cursor = (await said(communicator, "ready"))["cursor"]
        (event,) = await outside(commit, draft())
        await received(communicator, 1)
    async with resuming(key, cursor) as communicator:
        assert (await communicator.connect(timeout=10))[0]
        assert await said(communicator, "ready") == {
            "cursor": cursor, "skipped": 0, "subscriptions": [{"types": ["*"], "instances": None}],
        }  # fmt: skip
        assert await received(communicator, 1) == [event.payload()]


async def test_an_empty_cursor_is_the_beginning_of_what_is_kept(key: str, draft: Any) -> None:
    events = await outside(commit, draft(), draft())
    async with resuming(key, "") as communicator:
        assert await opens(communicator)
        assert await received(communicator, 2) == [event.payload() for event in events]


async def test_what_was_pruned_is_counted_in_ready(key: str, draft: Any) -> None:
    def prune() -> None:
        Event.objects.filter(sequence__lte=3).delete()
        Counter.objects.update(pruned=3)

    first, *_ = await outside(commit, draft())
    cursor = cursors.encode({first.stream.hex: 1})
    *_, kept = await outside(commit, draft(), draft(), draft())
    await outside(prune)
    async with resuming(key, cursor) as communicator:
        assert (await communicator.connect(timeout=10))[0]
        assert (await said(communicator, "ready"))["skipped"] == 2
        assert await received(communicator, 1) == [kept.payload()]


async def test_nothing_is_left_out_or_doubled_while_resuming_under_load(
    key: str, draft: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "_PAGE", 10)
    instances = [new_id("ins") for _ in range(3)]

    def write() -> None:
        for instance in instances * 20:
            commit(draft(instance_id=instance), draft(instance_id=instance))

    await outside(write)
    writing = asyncio.gather(outside(write), outside(write))
    async with resuming(key, "") as communicator:
        assert await opens(communicator)
        events = await received(communicator, 360)
        await writing
        for instance in instances:
            assert [e["sequence"] for e in events if e["instance"] == instance] == list(range(1, 121))
        (last,) = await outside(commit, draft(instance_id=instances[0]))
        assert await received(communicator, 1) == [last.payload()]


async def test_a_socket_resumes_with_filters(key: str, draft: Any) -> None:
    mine = new_id("ins")
    for _ in range(2):
        *_, wanted = await outside(
            commit, draft(type="message.sent"), draft(instance_id=mine), draft(instance_id=mine, type="message.sent")
        )
    path = f"/ws/events?after=&types=message.sent&instances={mine}"
    async with socket(key, path=path) as communicator:
        assert await opens(communicator)
        assert (await received(communicator, 2))[1] == wanted.payload()
        *_, wanted = await outside(commit, draft(instance_id=mine), draft(instance_id=mine, type="message.sent"))
        assert await received(communicator, 1) == [wanted.payload()]


async def test_a_subscription_made_while_resuming_counts_from_its_answer_on(key: str, draft: Any) -> None:
    await outside(commit, *[draft() for _ in range(500)])
    async with socket(key, path="/ws/events?after=&types=instance.state") as communicator:
        assert await opens(communicator)
        await communicator.send_json_to({"action": "subscribe", "types": ["message.sent"]})
        await said(communicator, "subscribed")
        (event,) = await outside(commit, draft(type="message.sent"))
        assert await received(communicator, 1) == [event.payload()]


async def test_another_tenants_cursor_shows_nothing_of_it(alice: Person, charlie: Person, key: str, draft: Any) -> None:
    await outside(commit, draft(), draft())
    async with socket(key) as communicator:
        assert (await communicator.connect(timeout=10))[0]
        cursor = (await said(communicator, "ready"))["cursor"]
    await outside(commit, draft())
    async with resuming(await outside(charlie.key), cursor) as communicator:
        assert await opens(communicator)
        own = draft(organization_id=charlie.organization.id, instance_id=new_id("ins"))
        (event,) = await outside(commit, own)
        assert await received(communicator, 1) == [event.payload()]


async def test_a_reader_that_was_slow_gets_the_rest_from_the_log(
    key: str, draft: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wires, "_BACKLOG", 2)
    requests: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    reading = asyncio.Event()

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "websocket.send":
            await reading.wait()  # as with a full transport buffer
        answers.put_nowait(message)

    headers = [(b"authorization", f"Bearer {key}".encode())]
    scope = {"type": "websocket", "path": "/ws/events", "query_string": b"", "headers": headers}
    requests.put_nowait({"type": "websocket.connect"})
    served = asyncio.create_task(application(scope, requests.get, send))
    assert (await answers.get())["type"] == "websocket.accept"
    for _ in range(6):
        await outside(commit, draft())
    await outside(commit_unannounced, draft())
    await outside(commit, draft())
    reading.set()
    sequences: list[int] = []
    async with asyncio.timeout(10):
        while len(sequences) < 8:
            frame = (await answers.get())["text"]
            if '"sequence"' in frame:
                sequences.append(int(frame.partition('"sequence":')[2].partition(",")[0]))
    assert sequences == list(range(1, 9))
    requests.put_nowait({"type": "websocket.disconnect", "code": 1000})
    await served
