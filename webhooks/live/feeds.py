"""What an organization's sockets in this process hear, read and made ready once for all of them.

The channel layer only carries hints: it may lose messages and mix up those of several processes. A feed knows the
last sequence of each stream that it told, and reads what is missing from the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar
from weakref import WeakValueDictionary

import orjson
import redis
import structlog
from channels.layers import get_channel_layer
from django.db import Error as DatabaseError

from webhooks import cursors
from webhooks.announcer import group_of
from webhooks.blocking import closing_connections
from webhooks.live.frames import End, Frame, ends, frames_between
from webhooks.live.subscriptions import Interest
from webhooks.live.wires import Packet
from webhooks.models import Network

log = structlog.get_logger(__name__)
T = TypeVar("T")

CHECK_SECONDS = 5.0  # repairs a lost message that no later one made visible
POSITION_SECONDS = 1.0  # how often a listener is told the cursor of what it has got
_QUIET = 30  # of those, one in so many is also for listeners that heard nothing
_CHUNK = 200
_AWAY = (redis.RedisError, OSError)


def position_text(cursor: str) -> str:
    return orjson.dumps({"action": "position", "cursor": cursor}).decode()


class Listener(Protocol):
    interest: Interest

    def hear(self, frames: Sequence[Frame], packet: Packet | None) -> None:
        """New frames, of which ``packet`` has those that the interest has chosen, if any. Called in order."""

    def tell_position(self, *, also_quiet: bool) -> None:
        """Say how far it has come, if events were sent since; ``also_quiet``: if any were left out since."""


class Feed:
    """``positions`` is how far the listeners have been told: the last sequence of each stream."""

    def __init__(self, organization_id: str) -> None:
        self.positions: dict[str, int] = {}
        self.listeners: set[Listener] = set()
        self._organization_id = organization_id
        self._owners: dict[str, tuple[str, str | None]] = {}
        self._cursors: dict[tuple[Any, Any], str] = {}
        self._said_at = 0.0
        self._gap = asyncio.Event()
        self._receiving: asyncio.Task[None] | None = None
        self._groups: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []

    def cursor(self, interest: Interest) -> str:
        """The place in the log that all listeners of the interest have come to."""
        key = interest.networks, interest.instances
        if key not in self._cursors:
            seen = {s: n for s, n in self.positions.items() if interest.shows(*self._owners[s])}
            self._cursors[key] = cursors.encode(seen)
        return self._cursors[key]

    async def start(self) -> None:
        """Raises DatabaseError."""
        await self._join()
        # Read after joining: what is committed in between is either counted here or announced.
        for end in await in_thread(ends, self._organization_id):
            self._move(end, end.sequence)
        self._tasks = [asyncio.create_task(self._repair()), asyncio.create_task(self._tell_positions())]

    async def stop(self) -> None:
        tasks = [*self._tasks, *filter(None, [self._receiving])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _join(self) -> None:
        """Without Redis the database is asked until it is back."""
        if self._receiving is None or self._receiving.done():
            layer = get_channel_layer()
            try:
                channel = await layer.new_channel()
                self._receiving = asyncio.create_task(self._receive(layer, channel))
                for network in Network.values:
                    await layer.group_add(group_of(self._organization_id, network), channel)
            except _AWAY as error:
                log.warning("feed not joined", reason=type(error).__name__)

    async def _receive(self, layer: Any, channel: str) -> None:
        try:
            while True:
                message = await layer.receive(channel)
                self._take([Frame(*frame) for frame in message["frames"]])
        finally:
            with contextlib.suppress(*_AWAY):
                for network in Network.values:
                    await layer.group_discard(group_of(self._organization_id, network), channel)

    def _take(self, frames: Sequence[Frame]) -> None:
        new = []
        for frame in frames:
            told = self.positions.get(frame.stream, 0)
            if frame.sequence == told + 1:
                self._move(frame, frame.sequence)
                new.append(frame)
            elif frame.sequence > told:
                self._gap.set()
        self._tell(new)

    def _move(self, place: Frame | End, sequence: int) -> None:
        self.positions[place.stream] = sequence
        self._owners[place.stream] = place.network, place.instance

    def _tell(self, frames: Sequence[Frame]) -> None:
        if not frames:
            return
        self._cursors.clear()
        with_cursor = time.monotonic() - self._said_at >= POSITION_SECONDS
        if with_cursor:
            self._said_at = time.monotonic()
        packets: dict[Interest, Packet | None] = {}
        for listener in list(self.listeners):
            interest = listener.interest
            if interest not in packets:
                packets[interest] = self._packet(interest, frames, with_cursor)
            listener.hear(frames, packets[interest])

    def _packet(self, interest: Interest, frames: Sequence[Frame], with_cursor: bool) -> Packet | None:
        texts = interest.chosen(frames)
        if not texts:
            return None
        if not with_cursor:
            return Packet(texts)
        cursor = self.cursor(interest)
        return Packet([*texts, position_text(cursor)], cursor)

    async def _repair(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHECK_SECONDS):
                    await self._gap.wait()
            self._gap.clear()
            try:
                await self._join()
                await self._catch_up()
            except DatabaseError as error:
                log.warning("feed falls behind", reason=type(error).__name__)

    async def _catch_up(self) -> None:
        """Tell all that is in the database and was not told yet."""
        for end in await in_thread(ends, self._organization_id):
            while (told := self.positions.get(end.stream, 0)) < end.sequence:
                found = await in_thread(frames_between, self._organization_id, end, told, _CHUNK)
                new = [frame for frame in found if frame.sequence > self.positions.get(end.stream, 0)]
                if new:
                    self._move(end, new[-1].sequence)
                    self._tell(new)
                elif not found:
                    self._move(end, max(end.sequence, self.positions.get(end.stream, 0)))  # pruned meanwhile

    async def _tell_positions(self) -> None:
        for turn in itertools.count(1):
            await asyncio.sleep(POSITION_SECONDS)
            # While events come, cursors go along with them, in one write.
            if time.monotonic() - self._said_at >= POSITION_SECONDS:
                for listener in list(self.listeners):
                    listener.tell_position(also_quiet=turn % _QUIET == 0)


_feeds: dict[str, Feed] = {}
_changing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()


async def join(organization_id: str, listener: Listener) -> Feed:
    """The feed, which the listener hears from now on. Raises DatabaseError."""
    async with _changing.setdefault(organization_id, asyncio.Lock()):
        feed = _feeds.get(organization_id)
        if feed is None:
            feed = Feed(organization_id)
            await feed.start()
            _feeds[organization_id] = feed
        feed.listeners.add(listener)
        return feed


async def leave(organization_id: str, listener: Listener) -> None:
    """The last one to leave ends the feed."""
    async with _changing.setdefault(organization_id, asyncio.Lock()):
        feed = _feeds.get(organization_id)
        if feed is not None:
            feed.listeners.discard(listener)
            if not feed.listeners:
                del _feeds[organization_id]
                await feed.stop()


async def in_thread(work: Callable[..., T], *args: Any) -> T:
    """Run blocking work beside that of other sockets, not behind it."""
    return await asyncio.to_thread(closing_connections, work, *args)
