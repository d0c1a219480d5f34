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
    connected, _ = await communicator.connect(timeout=10)
    return bool(connected)


async def received(communicator: WebsocketCommunicator, count: int) -> list[dict[str, Any]]:
    return [orjson.loads(await communicator.receive_from(timeout=10)) for _ in range(count)]


async def close_code(communicator: WebsocketCommunicator) -> int:
    message = await communicator.receive_output(timeout=10)
    assert message["type"] == "websocket.close"
    return int(message["code"])
