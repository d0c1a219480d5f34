"""``GET /api/events`` on the live process: a request with ``wait`` waits there, where no thread is held for it.

It is answered by Django as on the web, with the same middleware; while there is nothing to tell, it waits for a
hint that the log has grown and is asked again, with the same credentials, so whoever has lost the right is told so.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import io
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from django.core import signals
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.base import BaseHandler
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponseBase

from accounts.actor import Actor
from config.api.problems import Problem, problem_response
from webhooks.cursors import Positions
from webhooks.live import feeds
from webhooks.live.frames import Frame
from webhooks.live.revocation import watched
from webhooks.live.subscriptions import Interest, Subscription
from webhooks.live.wires import Packet
from webhooks.selectors import Read

PATH = "/api/events"
THREADS = 8  # asks at once; those that wait need none
MAX_WAITING = 100  # of one organization in one process
LONGEST = 30  # seconds
RETRY_SECONDS = 5

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


@dataclass
class Poll:
    """What a request, its answers and its waiting know of each other; it travels in the request's ASGI scope."""

    positions: Positions | None = None  # from where the next answer reads
    refused: bool = False
    actor: Actor | None = None
    interest: Interest | None = None
    wait: int = 0
    counted: Sequence[Any] = field(default_factory=list)
    more: bool = False

    def note(
        self,
        request: HttpRequest,
        actor: Actor,
        page: Read,
        *,
        wait: int,
        types: Collection[str] | None,
        instances: Collection[str] | None,
    ) -> None:
        """Called with what was read: if there is nothing to tell and the client would rather wait, it shall."""
        if page.events or page.skipped or not wait:
            return
        wanted = Subscription(tuple(types or "*"), None if instances is None else tuple(instances))
        self.actor, self.interest, self.wait = actor, Interest.of(actor, wanted), wait
        self.positions, self.more = page.positions, page.more
        self.counted = getattr(request, "rate_limits", [])


def poll_of(request: HttpRequest) -> Poll:
    """The poll that a request belongs to; on the web, where nobody waits, one of its own.

    Raises Problem ``too_many_polls`` when as many wait as may.
    """
    poll: Poll = getattr(request, "scope", {}).get("poll") or Poll()
    if poll.refused:
        detail = f"{MAX_WAITING} requests of the organization are waiting already."
        raise Problem("too_many_polls", detail, limit=MAX_WAITING, headers={"Retry-After": str(RETRY_SECONDS)})
    return poll


class _Waiting:
    """Listens to the organization's feed until there is something to hear, or the right to hear it is lost."""

    def __init__(self, interest: Interest) -> None:
        self.interest = interest
        self.over = asyncio.Event()

    def hear(self, frames: Sequence[Frame], packet: Packet | None) -> None:
        if packet is not None:
            self.over.set()

    def tell_position(self, *, also_quiet: bool) -> None:
        pass


class LongPoll:
    """ASGI application: PATH, and ``otherwise`` for all else."""

    def __init__(self, otherwise: Callable[..., Awaitable[None]]) -> None:
        self._otherwise = otherwise
        self._handler = _Handler()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="poll")
        self._waiting: Counter[str] = Counter()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["path"] != PATH:
            await self._otherwise(scope, receive, send)
            return
        poll = Poll()
        response: HttpResponseBase | None = await self._answer(scope, poll)
        if poll.actor is not None:
            gone = asyncio.create_task(_hang_up(receive))
            try:
                response = await self._wait(scope, poll, poll.actor.organization_id, gone)
            finally:
                gone.cancel()
        if response is not None:
            await _send(response, send)

    async def _wait(
        self, scope: dict[str, Any], poll: Poll, organization_id: str, gone: asyncio.Task[None]
    ) -> HttpResponseBase | None:
        """The answer of a poll that had nothing to tell; None for a client that has hung up."""
        deadline = asyncio.get_running_loop().time() + poll.wait
        scope = scope | {"rate_limits": poll.counted}
        if self._waiting[organization_id] >= MAX_WAITING:
            return await self._answer(scope, Poll(refused=True))
        self._waiting[organization_id] += 1
        response: HttpResponseBase | None = None
        try:
            while poll.interest is not None and not gone.done():
                poll, response = await self._answer_later(scope, poll, organization_id, gone, deadline)
            return None if gone.done() else response
        finally:
            self._waiting -= Counter([organization_id])

    async def _answer_later(
        self, scope: dict[str, Any], poll: Poll, organization_id: str, gone: asyncio.Task[None], deadline: float
    ) -> tuple[Poll, HttpResponseBase]:
        """One more answer and, if it has nothing to tell either, the waiting after it."""
        assert poll.interest is not None
        assert poll.actor is not None
        waiting, again = _Waiting(poll.interest), Poll(poll.positions)
        gone.add_done_callback(lambda _: waiting.over.set())
        try:
            await feeds.join(organization_id, waiting)
        except DatabaseError:
            return Poll(), await self._answer(scope, again)  # which says that it is away
        try:
            with watched(poll.actor, waiting.over.set):
                # Only after joining is nothing missed: what was committed before is read, the rest is heard.
                response = await self._answer(scope, again)
                if asyncio.get_running_loop().time() >= deadline:
                    return Poll(), response
                if again.interest is not None and not again.more:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout_at(deadline):
                            await waiting.over.wait()
                return again, response
        finally:
            await feeds.leave(organization_id, waiting)

    async def _answer(self, scope: dict[str, Any], poll: Poll) -> HttpResponseBase:
        """As of now; afterwards the poll has an actor if it would rather wait."""
        run, loop = contextvars.copy_context().run, asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, run, self._handler.answer, scope | {"poll": poll})


class _Handler(BaseHandler):
    """Django in a thread, as under WSGI: under ASGI its synchronous middleware would hold a thread while it waits."""

    def __init__(self) -> None:
        super().__init__()
        self.load_middleware()

    def answer(self, scope: dict[str, Any]) -> HttpResponseBase:
        signals.request_started.send(sender=type(self), scope=scope)
        try:
            # No method that is served here has a body.
            response = self.get_response(ASGIRequest(scope, io.BytesIO()))
        except UnicodeDecodeError:
            response = problem_response(Problem("invalid_request", "The address is not UTF-8."))
        response.close()  # tells that the request is finished, which gives the database connection back
        return response


async def _send(response: HttpResponseBase, send: Send) -> None:
    headers = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
    headers += [(b"set-cookie", cookie.OutputString().encode("ascii")) for cookie in response.cookies.values()]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": b"".join(response)})


async def _hang_up(receive: Receive) -> None:
    """Return when the client is gone; what it sends is dropped."""
    while (await receive())["type"] != "http.disconnect":
        pass
