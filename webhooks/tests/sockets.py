"""WebSockets as clients see them, and what happens outside of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import orjson
from channels.testing import WebsocketCommunicator
from django.db import transaction

from config.asgi import application
from webhooks.blocking import closing_connections
from webhooks.events import append
from webhooks.models import Event

T = TypeVar("T")


async def outside(work: Callable[..., T], *args: Any, **fields: Any) -> T:
    """Run blocking work in a thread, as a web worker would."""
    return await asyncio.to_thread(closing_connections, work, *args, **fields)


def commit(*drafts: Any) -> list[Event]:
    with transaction.atomic():
        return append(drafts)


def commit_unannounced(*drafts: Any) -> list[Event]:
    """As if Redis had lost the message."""
    with transaction.atomic():
        events = append(drafts)
        transaction.get_connection().run_on_commit.clear()
    return events


@asynccontextmanager
async def socket(
    credential: str = "", path: str = "/ws/events", **headers: str
) -> AsyncIterator[WebsocketCommunicator]:
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    if credential:
        given.append((b"authorization", f"Bearer {credential}".encode()))
    communicator = WebsocketCommunicator(application, path, headers=given)
    yield communicator
    await communicator.disconnect()


async def opens(communicator: WebsocketCommunicator) -> bool:
    """True if it is accepted and ready."""
    connected, _ = await communicator.connect(timeout=10)
    return bool(connected) and "cursor" in await said(communicator, "ready")


async def next_frame(communicator: WebsocketCommunicator) -> dict[str, Any]:
    return dict(orjson.loads(await communicator.receive_from(timeout=10)))


async def said(communicator: WebsocketCommunicator, action: str) -> dict[str, Any]:
    """The next frame, which has this action."""
    frame = await next_frame(communicator)
    assert frame.pop("action", None) == action, frame
    return frame


async def received(communicator: WebsocketCommunicator, count: int) -> list[dict[str, Any]]:
    """The next events; cursors in between are passed over."""
    events: list[dict[str, Any]] = []
    while len(events) < count:
        frame = await next_frame(communicator)
        if frame.get("action") != "position":
            events.append(frame)
    return events


async def cursor_of(communicator: WebsocketCommunicator) -> str:
    """The next cursor that is said."""
    return str((await said(communicator, "position"))["cursor"])


async def close_code(communicator: WebsocketCommunicator) -> int:
    """The code it is closed with; what is said before is passed over."""
    while (message := await communicator.receive_output(timeout=10))["type"] == "websocket.send":
        pass
    assert message["type"] == "websocket.close"
    return int(message["code"])


async def refusal(communicator: WebsocketCommunicator) -> dict[str, Any]:
    """The problem with which the handshake is answered."""
    communicator.scope["extensions"] = {"websocket.http.response": {}}
    await communicator.send_input({"type": "websocket.connect"})
    start, body = [await communicator.receive_output(timeout=10) for _ in range(2)]
    assert (start["type"], body["type"]) == ("websocket.http.response.start", "websocket.http.response.body")
    problem = dict(orjson.loads(body["body"]))
    assert (problem["status"], dict(start["headers"])[b"content-type"]) == (
        start["status"],
        b"application/problem+json",
    )
    return problem
