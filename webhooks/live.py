"""``/ws/events``: the events of an organization as they are committed, each once and in order per instance.

Redis only carries hints: it may lose messages and mix up those of several processes. Each socket knows the
last sequence it sent of each instance and reads what is missing from the database.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qs

import redis
import structlog
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import DatabaseError

from accounts.actor import Actor
from accounts.authentication import authenticate
from accounts.models import Scope
from accounts.permissions import check_may
from config import metrics
from config.api.middleware import client_address
from config.api.problems import Problem
from config.ids import to_uuid
from webhooks import selectors, tickets
from webhooks.announcer import group_of
from webhooks.backpressure import waiting_for_the_reader
from webhooks.blocking import closing_connections
from webhooks.revocation import until_revoked

log = structlog.get_logger(__name__)
T = TypeVar("T")

UNAUTHORIZED, TOO_SLOW, FAILED = 4401, 4408, 1011
CHECK_SECONDS = 5.0  # repairs a lost message that no later one made visible
SLOW_SECONDS = 10.0  # a reader that takes no frame for so long is cut off
_INBOX = 200
_CHUNK = 200


def identify(scope: dict[str, Any]) -> Actor:
    """The caller of a handshake, who may read; a ticket is used up. Raises Problem, and redis.RedisError."""
    names = [name.lower() for name, _ in scope["headers"]]
    if any(names.count(name) > 1 for name in (b"authorization", b"x-api-key", b"x-organization")):
        raise Problem("invalid_credentials", "Send one credential, not two.")
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    address = client_address((scope.get("client") or ("",))[0] or "", headers.get("x-forwarded-for", ""))
    actor = authenticate(
        authorization=headers.get("authorization"),
        api_key=headers.get("x-api-key"),
        organization=headers.get("x-organization"),
        address=address,
    )
    if actor is None:
        ticket = parse_qs(scope["query_string"].decode("latin-1")).get("ticket", [""])[0]
        if not ticket:
            raise Problem("not_authenticated")
        actor = tickets.redeem(ticket, address)
    check_may(actor, Scope.READ)
    return actor


class EventsConsumer(AsyncWebsocketConsumer):
    """Refused with 403 before the handshake; closed with 4401 when the right is lost, 4408 when too slow."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._tasks: list[asyncio.Task[None]] = []
        self._counted = False
        self._joined: list[str] = []
        try:
            await super().__call__(scope, receive, waiting_for_the_reader(send))
        finally:
            if self._counted:
                metrics.SOCKETS.dec()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for group in self._joined:
                await self.channel_layer.group_discard(group, self.channel_name)

    async def connect(self) -> None:
        try:
            self._actor = await _in_thread(identify, self.scope)
            for network in self._actor.networks:
                group = group_of(self._actor.organization_id, network)
                await self.channel_layer.group_add(group, self.channel_name)
                self._joined.append(group)
            instances = self._actor.instances
            self._streams = None if instances is None else {to_uuid(one, "ins").hex for one in instances}
            # Read after joining: what is committed in between is either counted here or announced.
            self._sent = await _in_thread(selectors.positions, self._actor)
        except (Problem, redis.RedisError, DatabaseError) as error:
            log.info("socket refused", reason=str(error))
            await self.close()
            return
        self._inbox: asyncio.Queue[Sequence[selectors.Frame]] = asyncio.Queue(_INBOX)
        self._behind = False
        await self.accept()
        metrics.SOCKETS.inc()
        self._counted = True
        self._tasks += [asyncio.create_task(self._guarded(work)) for work in (self._forward(), self._stay_authorized())]

    async def events_appended(self, message: dict[str, Any]) -> None:
        """From the announcer, through the channel layer."""
        if hasattr(self, "_inbox"):
            try:
                frames = (selectors.Frame(*frame) for frame in message["frames"])
                self._inbox.put_nowait([frame for frame in frames if self._sees(frame.stream)])
            except asyncio.QueueFull:
                # The database keeps what does not fit here.
                self._behind = True

    def _sees(self, stream: str) -> bool:
        """False for what a key that is limited to instances is not meant to hear."""
        return self._streams is None or stream in self._streams

    async def _stay_authorized(self) -> None:
        await until_revoked(self._actor)
        raise Problem("invalid_credentials")

    async def _forward(self) -> None:
        check_at = time.monotonic() + CHECK_SECONDS
        while True:
            frames: Sequence[selectors.Frame] = ()
            try:
                async with asyncio.timeout(max(0.0, check_at - time.monotonic())):
                    frames = await self._inbox.get()
            except TimeoutError:
                pass
            try:
                for frame in frames:
                    await self._forward_until(frame)
                if time.monotonic() >= check_at or (self._behind and self._inbox.empty()):
                    check_at, self._behind = time.monotonic() + CHECK_SECONDS, False
                    await self._catch_up()
            except DatabaseError as error:
                log.warning("socket falls behind", reason=type(error).__name__)

    async def _forward_until(self, frame: selectors.Frame) -> None:
        """Send a frame unless it was sent, and those missing before it first."""
        if frame.sequence > self._sent.get(frame.stream, 0) + 1:
            await self._send_missing(frame.stream, frame.sequence - 1)
        if frame.sequence > self._sent.get(frame.stream, 0):
            await self._send_frame(frame)

    async def _catch_up(self) -> None:
        """Send all that is in the database and was not sent yet."""
        for stream, last in (await _in_thread(selectors.positions, self._actor)).items():
            await self._send_missing(stream, last)

    async def _send_missing(self, stream: str, last: int) -> None:
        while (sent := self._sent.get(stream, 0)) < last:
            limit = min(_CHUNK, last - sent)
            missing = await _in_thread(selectors.frames_after, self._actor, stream, sent, limit)
            for frame in missing:
                await self._send_frame(frame)
            if not missing:
                self._sent[stream] = last  # pruned meanwhile

    async def _send_frame(self, frame: selectors.Frame) -> None:
        async with asyncio.timeout(SLOW_SECONDS):
            await self.send(text_data=frame.text)
        self._sent[frame.stream] = frame.sequence

    async def _guarded(self, work: Any) -> None:
        """Run the work until it fails, and close the socket with the code that says why."""
        try:
            await work
        except Problem:
            await self.close(code=UNAUTHORIZED)
        except TimeoutError:
            await self.close(code=TOO_SLOW)
        except Exception:
            log.exception("socket failed")
            await self.close(code=FAILED)


async def _in_thread(work: Callable[..., T], *args: Any) -> T:
    """Run blocking work beside that of other sockets, not behind it."""
    return await asyncio.to_thread(closing_connections, work, *args)
