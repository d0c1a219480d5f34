"""``/ws/events``: the events of an organization as they are committed, each once and in order per instance.

The protocol is that of docs/live.md.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from typing import Any

import orjson
import structlog
from django.core.exceptions import RequestDataTooBig

from config import context, metrics
from config.api.exceptions import as_problem
from config.api.problems import Problem, invalid
from webhooks.live import feeds, handshake, places, revocation
from webhooks.live.listening import Listener
from webhooks.live.subscriptions import subscription_of
from webhooks.live.wires import Send, Wire, wire_of

log = structlog.get_logger(__name__)

UNAUTHORIZED, TOO_SLOW, TOO_MUCH, FAILED = 4401, 4408, 4429, 1011
LARGEST_FRAME = 8 * 1024  # characters that a client may send at once
MOST_FRAMES, PER_SECONDS = 100, 60.0  # that a client may send


async def events(scope: dict[str, Any], receive: Any, send: Send) -> None:
    """The ASGI application."""
    origin = context.current()._replace(source="socket", request_id=f"req_{uuid.uuid4().hex}")
    token = context.enter(origin)
    wire = wire_of(scope, send)
    try:
        await receive()  # websocket.connect
        try:
            asked = await feeds.in_thread(handshake.examine, scope)
            organization_id = asked.actor.organization_id
            await places.take(organization_id)
        except Exception as error:
            await _refuse(wire, error)
            return
        try:
            await _serve(asked, wire, receive, send)
        finally:
            places.give_back(organization_id)
    finally:
        wire.release()
        context.leave(token)


async def _refuse(wire: Wire, error: Exception) -> None:
    problem = as_problem(error)
    if problem is None:
        log.exception("handshake failed")
        problem = Problem("internal_error")
    log.info("socket refused", code=problem.code)
    await wire.refuse(problem)


async def _serve(asked: handshake.Handshake, wire: Wire, receive: Any, send: Send) -> None:
    actor = asked.actor
    socket = Socket(asked, wire)
    try:
        feed = await feeds.join(actor.organization_id, socket.listener)
    except Exception as error:
        await _refuse(wire, error)
        return
    metrics.SOCKETS.inc()
    try:
        await send({"type": "websocket.accept"})
        with revocation.watched(actor, socket.revoked):
            socket.listener.start(feed, asked.after)
            while (message := await receive())["type"] != "websocket.disconnect":
                socket.take(message)
    finally:
        metrics.SOCKETS.dec()
        await socket.listener.stop()
        await feeds.leave(actor.organization_id, socket.listener)


class Socket:
    """What one client says, and why its socket ends."""

    def __init__(self, asked: handshake.Handshake, wire: Wire) -> None:
        self._actor, self._wire = asked.actor, wire
        self.listener = Listener(actor=asked.actor, interest=asked.interest, wire=wire, on_failure=self.failed)
        self._taken: deque[float] = deque(maxlen=MOST_FRAMES)
        self._closing: asyncio.Task[None] | None = None
        wire.on_slow = self.slow

    # --- why it ends --------------------------------------------------------------------------

    def revoked(self) -> None:
        self._close(UNAUTHORIZED, "the right to listen is gone")

    def slow(self) -> None:
        words = {"action": "error", "code": "too_slow", "detail": "Read faster, and go on from the cursor."}
        last_words = orjson.dumps(words | {"cursor": self.listener.cursor}).decode()
        self._close(TOO_SLOW, "nothing was read for too long", last_words)

    def failed(self, error: BaseException) -> None:
        log.error("socket failed", exc_info=error)
        self._close(FAILED, "something went wrong on our side")

    def _close(self, code: int, reason: str, last_words: str | None = None) -> None:
        if self._closing is None:
            self._closing = asyncio.create_task(self._wire.close(code, reason, last_words))

    # --- what the client says -----------------------------------------------------------------

    def take(self, message: dict[str, Any]) -> None:
        """Answer one frame of the client."""
        now = time.monotonic()
        if len(self._taken) == MOST_FRAMES and now - self._taken[0] < PER_SECONDS:
            self._close(TOO_MUCH, f"more than {MOST_FRAMES} frames a minute")
            return
        self._taken.append(now)
        try:
            self._act(_parsed(message))
        except Exception as error:
            problem = as_problem(error)
            if problem is None:
                raise
            errors = {"errors": [one._asdict() for one in problem.errors]} if problem.errors else {}
            self.listener.say(action="error", code=problem.code, detail=problem.detail, **errors)

    def _act(self, words: dict[str, Any]) -> None:
        action = words.pop("action", None)
        interest = self.listener.interest
        if action == "ping" and not words:
            self.listener.say(action="pong")
            return
        if action == "subscribe":
            interest = interest.with_subscription(subscription_of(self._actor, words))
        elif action == "unsubscribe":
            interest = interest.without_subscription(subscription_of(self._actor, words) if words else None)
        else:
            raise invalid("/action", "invalid_choice", "The actions are subscribe, unsubscribe and ping.")
        self.listener.interest = interest
        self.listener.say(action="subscribed", subscriptions=[one.body() for one in interest.subscriptions])


def _parsed(message: dict[str, Any]) -> dict[str, Any]:
    text = message.get("text")
    if text is None:
        raise Problem("malformed_json", "Send text frames.")
    if len(text) > LARGEST_FRAME:
        raise RequestDataTooBig(f"At most {LARGEST_FRAME} characters.")
    try:
        words = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Problem("malformed_json", f"{error}.") from error
    if not isinstance(words, dict):
        raise Problem("malformed_json", "Send a JSON object.")
    return words
