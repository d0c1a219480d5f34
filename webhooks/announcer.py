"""Tells those who wait for new events, from one background thread per process.

Everything said here may be lost: the sweeper repairs lost wake-ups, and sockets read what they missed
from the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence

import redis
import structlog
from celery import current_app
from channels.layers import get_channel_layer
from django.core.cache import cache
from kombu.exceptions import OperationalError

from webhooks.live.frames import Frame, frame
from webhooks.models import Event

log = structlog.get_logger(__name__)

# A wake-up that is under way stands for all later ones; if it gets lost, the next may come after this time.
_DEBOUNCE_SECONDS = 5
_FRAMES = 100  # at most so many in one message
_LOST = (redis.RedisError, OperationalError, OSError)
_News = tuple[Sequence[Event], Sequence[str]]


def group_of(organization_id: str, network: str) -> str:
    """The channel layer group that gets the events of an organization on one network."""
    return f"events.{organization_id}.{network}"


def wake(*endpoint_ids: str) -> None:
    """Have a task worker deliver to endpoints, unless that is already under way. Raises redis.RedisError."""
    if asleep := [one for one in endpoint_ids if cache.add(f"wake:{one}", 1, timeout=_DEBOUNCE_SECONDS)]:
        current_app.send_task("webhooks.tasks.deliver", asleep)


def woken(*endpoint_ids: str) -> None:
    """To be called before the deliveries are read: what is committed from now on needs a new wake-up."""
    with contextlib.suppress(redis.RedisError):
        cache.delete_many([f"wake:{one}" for one in endpoint_ids])


def announce(events: Sequence[Event], endpoints: Sequence[str]) -> None:
    """Wake the deliveries of the endpoints and publish the events to live sockets; never blocks or raises."""
    _announcer.put((events, endpoints))


class _Announcer:
    def __init__(self) -> None:
        self._news: queue.Queue[_News] = queue.Queue(maxsize=10_000)
        self._start = threading.Lock()
        self._thread: threading.Thread | None = None
        self._complained = 0.0

    def put(self, news: _News) -> None:
        try:
            self._news.put_nowait(news)
        except queue.Full:
            self._complain("the queue is full")
        # Started at the first use and not at import, which may happen before the process forks.
        if self._thread is None or not self._thread.is_alive():
            with self._start:
                if self._thread is None or not self._thread.is_alive():
                    self._thread = threading.Thread(target=self._run, name="announcer", daemon=True)
                    self._thread.start()

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            while True:
                events, endpoints = self._take()
                try:
                    wake(*endpoints)
                    runner.run(_publish(events))
                except _LOST as error:
                    self._complain(type(error).__name__)

    def _take(self) -> _News:
        """Wait for news, then take all there is: one wake-up per endpoint and burst."""
        found = [self._news.get()]
        while not self._news.empty():
            found.append(self._news.get_nowait())
        return [event for news in found for event in news[0]], list(dict.fromkeys(e for news in found for e in news[1]))

    def _complain(self, reason: str) -> None:
        if time.monotonic() - self._complained >= 1:
            self._complained = time.monotonic()
            log.warning("announcement lost", reason=reason)


async def _publish(events: Iterable[Event]) -> None:
    groups: dict[str, list[Frame]] = defaultdict(list)
    for event in events:
        groups[group_of(event.organization_id, event.network)].append(frame(event))
    layer = get_channel_layer()
    for group, frames in groups.items():
        for start in range(0, len(frames), _FRAMES):
            await layer.group_send(group, {"type": "events.appended", "frames": frames[start : start + _FRAMES]})


_announcer = _Announcer()
