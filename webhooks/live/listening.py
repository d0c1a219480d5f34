"""One socket's way through the log: from a cursor to the end, then along with the feed, without gap or double."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import orjson
import structlog
from django.db import Error as DatabaseError

from accounts.actor import Actor
from webhooks import cursors, selectors
from webhooks.cursors import Positions
from webhooks.live.feeds import Feed, in_thread, position_text
from webhooks.live.frames import Frame, frame
from webhooks.live.subscriptions import Interest, Subscription
from webhooks.live.wires import Packet, Wire

log = structlog.get_logger(__name__)

RETRY_SECONDS = 1.0  # between two looks at a database that is away
_PAGE = 200  # events that are read at once
_HEARD = 2_000  # frames that are kept while older ones are read


class Listener:
    """Goes with its feed, or is behind: then it reads the log by itself until it has reached the feed.

    It starts behind if it has a cursor to resume from, and falls behind when its reader is slow. ``on_failure`` gets
    what ends the reading.
    """

    def __init__(
        self, *, actor: Actor, interest: Interest, wire: Wire, on_failure: Callable[[BaseException], None]
    ) -> None:
        self.interest = interest
        self.cursor = ""  # the last one that the reader was told
        self._actor, self._wire, self._on_failure = actor, wire, on_failure
        self._feed: Feed | None = None
        self._reading: asyncio.Task[None] | None = None
        self._heard: list[Frame] | None = None  # what the feed told while this one is behind; None: too much
        self._ahead: Mapping[str, int] = {}  # what was read before the feed told it
        self._moved = False  # events were sent since the last cursor
        self._passed = False  # events were left out since then

    def start(self, feed: Feed, after: str | None) -> None:
        """Say that all is ready, and go on from a cursor, or from now on. For a listener that has joined the feed."""
        self._feed = feed
        if after is None:
            self._say_ready(feed.cursor(self.interest), 0)
        else:
            self._fall_behind(cursors.decode(after), after)

    async def stop(self) -> None:
        if self._reading:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    # --- along with the feed ------------------------------------------------------------------

    def hear(self, frames: Sequence[Frame], packet: Packet | None) -> None:
        if self._feed is None:
            return
        if self._reading:
            if self._heard is not None:
                self._heard = [*self._heard, *frames] if len(self._heard) < _HEARD else None
            return
        ahead = self._ahead
        if ahead:
            packet = self._unread(frames)
        if packet is None:
            self._passed = True
        elif self._wire.send(packet):
            self._moved = packet.cursor is None
            self.cursor = packet.cursor or self.cursor
        else:
            sent = self._feed.positions | {f.stream: f.sequence - 1 for f in reversed(frames)}
            self._fall_behind(Positions(sent | {s: n for s, n in ahead.items() if n > sent.get(s, 0)}))

    def _unread(self, frames: Sequence[Frame]) -> Packet | None:
        assert self._feed is not None
        texts = self.interest.chosen([f for f in frames if f.sequence > self._ahead.get(f.stream, 0)])
        self._ahead = {s: n for s, n in self._ahead.items() if n > self._feed.positions.get(s, 0)}
        return Packet(texts) if texts else None

    def tell_position(self, *, also_quiet: bool) -> None:
        if self._feed and not self._reading and (self._moved or (also_quiet and self._passed)):
            self._say_position(self._feed.cursor(self.interest))

    # --- behind -------------------------------------------------------------------------------

    def _fall_behind(self, positions: Positions, resumed: str | None = None) -> None:
        self._reading = asyncio.create_task(self._read(positions, resumed))
        self._reading.add_done_callback(self._ended)

    def _ended(self, reading: asyncio.Task[None]) -> None:
        if not reading.cancelled() and (error := reading.exception()):
            self._on_failure(error)

    async def _read(self, positions: Positions, resumed: str | None) -> None:
        while True:
            await self._wire.drained.wait()
            self._heard, interest = [], self.interest
            page = await self._page(positions, interest)
            if resumed is not None:
                self._say_ready(resumed, page.skipped)
                resumed = None
            elif page.skipped:
                self.say(action="skipped", events=page.skipped)
            if interest is not self.interest:
                continue
            positions = page.positions
            if texts := interest.chosen([frame(event) for event in page.events]):
                self._wire.send(Packet(texts))
                self._say_position(cursors.encode(positions))
            if not page.more and self._heard is not None and self._wire.drained.is_set():
                break
        # From here to the end nothing else runs, so nothing is told in between.
        heard, self._heard, self._reading = self._heard, None, None
        self._ahead = positions
        if packet := self._unread(heard):
            self._wire.send(packet)
            self._moved = True

    async def _page(self, positions: Positions, interest: Interest) -> selectors.Read:
        """What is wanted by one subscription is picked by the database, by several later."""
        wanted = interest.subscriptions[0] if len(interest.subscriptions) == 1 else Subscription()
        types = None if "*" in wanted.types else wanted.types
        read = partial(selectors.read, limit=_PAGE, types=types, instances=wanted.instances)
        while True:
            try:
                return await in_thread(read, self._actor, positions)
            except DatabaseError as error:
                log.warning("socket falls behind", reason=type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)

    # --- what it says beside events -----------------------------------------------------------

    def _say_ready(self, cursor: str, skipped: int) -> None:
        subscriptions = [one.body() for one in self.interest.subscriptions]
        self.cursor = cursor
        self.say(action="ready", cursor=cursor, skipped=skipped, subscriptions=subscriptions)

    def _say_position(self, cursor: str) -> None:
        if cursor == self.cursor or self._wire.send(Packet([position_text(cursor)], cursor)):
            self.cursor, self._moved, self._passed = cursor, False, False

    def say(self, **fields: Any) -> bool:
        """Send a frame that is no event; False if it finds no room."""
        return self._wire.send(Packet([orjson.dumps(fields).decode()]))
