"""Hands messages to the engine one after the other, so that a lane records one and composes the next meanwhile."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import structlog

from instances.whatsapp.building import Outbound
from instances.whatsapp.news import Sent
from messaging.models import Message

AT_ONCE = 2  # that a lane begins: one that the engine has, and one that follows it


class NotBegun(Exception):
    """The one before failed or the lane stops: this one was not handed over."""


class Sender:
    """One thread of a lane, begun with its first message. ``send`` is called with what was submitted, in order.

    After a failure nothing more is begun until `resume`: what follows may be of the same chat.
    """

    def __init__(self, instance_id: str, send: Callable[[Message, Outbound], Sent]) -> None:
        self._instance_id, self._send = instance_id, send
        self._waiting: queue.SimpleQueue[tuple[Message, Outbound, Future[Sent]] | None] = queue.SimpleQueue()
        self._halted = False
        self._thread: threading.Thread | None = None

    def submit(self, row: Message, outbound: Outbound) -> Future[Sent]:
        """The Future raises what ``send`` raises, or NotBegun."""
        if self._thread is None:
            name = f"sender-{self._instance_id}"
            self._thread = threading.Thread(target=self._run, name=name, daemon=True)
            self._thread.start()
        sent: Future[Sent] = Future()
        self._waiting.put((row, outbound, sent))
        return sent

    def halt(self) -> None:
        """Begin nothing more; what was begun goes on."""
        self._halted = True

    def resume(self) -> None:
        """To be called when nothing waits: its Futures are done."""
        self._halted = False

    def close(self) -> None:
        """End the thread when what was begun has ended; returns at once."""
        self.halt()
        self._waiting.put(None)

    def _run(self) -> None:
        structlog.contextvars.bind_contextvars(instance=self._instance_id)
        while (one := self._waiting.get()) is not None:
            self._do(*one)

    def _do(self, row: Message, outbound: Outbound, sent: Future[Any]) -> None:
        if self._halted:
            sent.set_exception(NotBegun())
            return
        try:
            result = self._send(row, outbound)
        except BaseException as error:
            self._halted = True
            sent.set_exception(error)
        else:
            sent.set_result(result)
