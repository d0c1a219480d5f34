"""The events of ``/ws/events``, over any number of sockets, each once."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import sys
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import aiohttp

from wagw.client import Client, CommandError, told, words

SILENT_SECONDS = 50.0  # the server pings every 15
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 15.0
_FINAL = (400, 401, 402, 403, 404)  # statuses of a handshake that will not change by itself
_UNAUTHORIZED = 4401


class Event(NamedTuple):
    """``text`` is the payload as it came."""

    text: str
    body: dict[str, Any]


class Stream:
    """Goes on from ``cursor``; ``done`` are the ids that came after it.

    An event counts as done when the next one is asked for, so what was interrupted comes again.
    """

    def __init__(
        self,
        client: Client,
        *,
        types: str | None = None,
        instances: str | None = None,
        cursor: str = "latest",
        done: frozenset[str] = frozenset(),
    ) -> None:
        self._client = client
        self._filters = {name: text for name, text in (("types", types), ("instances", instances)) if text}
        self.cursor = cursor
        self.done = set(done)
        self._pause = PAUSE_SECONDS

    async def events(self) -> AsyncIterator[Event]:
        """Without end. Raises CommandError when the server will not have us."""
        while True:
            try:
                async with self._client.session.ws_connect(
                    f"{self._client.url}/ws/events", params=self._query(), max_msg_size=1024 * 1024
                ) as socket:
                    async for event in self._of(socket):
                        yield event
                    reason = f"closed with {socket.close_code}"
                    if socket.close_code == _UNAUTHORIZED:
                        raise CommandError("the key may no longer listen")
            except aiohttp.WSServerHandshakeError as error:
                if error.status in _FINAL:
                    raise CommandError(await self._refusal(error.status)) from error
                reason = f"refused with {error.status}"
            except (TimeoutError, aiohttp.ClientError, OSError) as error:
                reason = words(error)
            print(f"Not connected ({reason}); again in {self._pause:.0f} s.", file=sys.stderr, flush=True)
            await asyncio.sleep(self._pause * random.uniform(0.8, 1.2))  # noqa: S311 (no secret)
            self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)

    async def _of(self, socket: aiohttp.ClientWebSocketResponse) -> AsyncIterator[Event]:
        while True:
            message = await socket.receive(timeout=SILENT_SECONDS)
            if message.type is not aiohttp.WSMsgType.TEXT:
                return
            body = json.loads(message.data)
            if "action" in body:
                self._note(body)
            elif body["id"] not in self.done:
                yield Event(message.data, body)
                self.done.add(body["id"])

    def _note(self, said: dict[str, Any]) -> None:
        if said["action"] == "ready":
            self._pause = PAUSE_SECONDS
            print("Connected.", file=sys.stderr, flush=True)
        if skipped := said.get("skipped") or (said.get("events") if said["action"] == "skipped" else 0):
            print(f"{skipped} events are kept no more and were skipped.", file=sys.stderr, flush=True)
        if said["action"] in ("ready", "position"):
            if said["cursor"] != self.cursor:
                self.done.clear()
            self.cursor = said["cursor"]
        elif said["action"] == "error":
            print(f"{said['code']}: {said['detail']}", file=sys.stderr, flush=True)

    def _query(self) -> dict[str, str]:
        return self._filters | {"after": self.cursor}

    async def _refusal(self, status: int) -> str:
        """The words of a refused handshake, which the WebSocket client keeps to itself."""
        headers = {
            "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        }  # fmt: skip
        url = f"{self._client.url}/ws/events"
        try:
            async with self._client.session.get(url, params=self._query(), headers=headers) as answer:
                return told(answer.status, await answer.json(content_type=None) if answer.status >= 400 else None)
        except (aiohttp.ClientError, ValueError):
            return told(status, None)
