"""From the library's callback to the database: what a number was told is journalled at once, and written behind.

The callback's thread does as little as possible, and waits for no lock that others hold for long: what the library has
confirmed to WhatsApp meanwhile is only in its memory. Reading the event and handing it to the writer is for a thread
of the intake.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple

import structlog
from django.db import InterfaceError, OperationalError

from instances.holding.journal import Journal
from instances.holding.writer import Writer
from instances.whatsapp.news import ContactPresence, News, Receipt, Typing
from instances.whatsapp.translating import FACTS, translate

log = structlog.get_logger(__name__)
MOST_EVENTS, MOST_BYTES = 2_000, 16 * 2**20  # not yet committed; beyond it WhatsApp keeps what comes
LARGEST_FILE = 64 * 2**20  # bytes of a number that is never quiet; then all is committed first
_AT_ONCE = 100  # with the writer, so that a number that gets a lot does not hold up the others
_CROWD_SECONDS, _QUIET_SECONDS = 0.2, 0.2


class _Taken(NamedTuple):
    """An event; of those that are kept on disk nobody waits for the commit."""

    code: int
    raw: bytes
    kept: bool
    committed: threading.Event | None


class Intake:
    """That of one holding of a number. News is written in the order it came, whoever holds the lease by then."""

    def __init__(self, instance_id: str, epoch: int, writer: Writer, seen: Callable[[News], None]) -> None:
        self._instance_id, self._writer, self._seen = instance_id, writer, seen
        self._journal = Journal(instance_id, epoch)
        self._queue: queue.SimpleQueue[_Taken | None] = queue.SimpleQueue()
        self._taken = self._taken_bytes = 0  # written by the callback's thread alone, which so needs no lock
        self._done = self._done_bytes = 0
        self._writing = 0
        self._changed = threading.Condition()
        self._released = False
        self._last_receipt = 0.0
        self._thread = threading.Thread(target=self._run, name=f"intake-{instance_id}", daemon=True)
        self._thread.start()

    # --- for the connection ---------------------------------------------------------------------

    def take(self, code: int, raw: bytes) -> None:
        """Take an event over; when this returns, a kill of the process does not lose it. From one thread.

        It waits for the commit if the disk does not take the event, and for room if too much is to be written already,
        until `release`.
        """
        fact = code in FACTS
        kept = fact and self._journal.append(code, raw)
        committed = threading.Event() if fact and not kept else None
        self._taken += 1
        self._taken_bytes += len(raw)
        self._queue.put(_Taken(code, raw, kept, committed))
        if self._is_full():
            with self._changed:
                self._changed.wait_for(lambda: self._released or not self._is_full())
        if committed:
            committed.wait()

    def release(self) -> None:
        """Nobody waits for room any more: the library is about to be stopped, and drops what it could not hand over."""
        with self._changed:
            self._released = True
            self._changed.notify_all()

    def wait(self, deadline: float) -> None:
        """Wait until all is committed, or for the deadline (monotonic clock)."""
        with self._changed:
            self._changed.wait_for(self._is_empty, max(0.0, deadline - time.monotonic()))

    def end(self) -> None:
        """Nothing is taken any more. The journal goes when all is committed. Returns at once."""
        self._queue.put(None)

    def _is_full(self) -> bool:
        return (
            self._taken - self._done > MOST_EVENTS
            or self._taken_bytes - self._done_bytes > MOST_BYTES
            or self._journal.size > LARGEST_FILE
        )

    def _is_empty(self) -> bool:
        return self._taken == self._done

    # --- the intake's own thread ------------------------------------------------------------------

    def _run(self) -> None:
        structlog.contextvars.bind_contextvars(instance=self._instance_id)
        while (taken := self._next()) is not None:
            try:
                news = translate(taken.code, taken.raw)
            except Exception:
                log.exception("not_translated", code=taken.code)
                news = None
            if news is None:
                self._settle(taken)
            else:
                self._write(taken, news)
        with self._changed:
            self._changed.wait_for(self._is_empty)
        self._journal.end()

    def _next(self) -> _Taken | None:
        while self._journal.size:
            try:
                return self._queue.get(timeout=_QUIET_SECONDS)
            except queue.Empty:
                self._journal.forget()
                with self._changed:
                    self._changed.notify_all()
        return self._queue.get()

    def _write(self, taken: _Taken, news: News) -> None:
        try:
            self._seen(news)
        except Exception:
            log.exception("not_seen", code=taken.code)  # it must be written all the same
        with self._changed:
            self._changed.wait_for(lambda: self._writing < _AT_ONCE)
            self._writing += 1
        written = self._writer.submit(self._instance_id, None, news, urgent=self._is_urgent(news))
        written.add_done_callback(partial(self._written, taken))

    def _is_urgent(self, news: News) -> bool:
        """Not one of many receipts, which are written together."""
        if isinstance(news, Receipt):
            before, self._last_receipt = self._last_receipt, time.monotonic()
            return self._last_receipt - before > _CROWD_SECONDS
        return not isinstance(news, Typing | ContactPresence)

    def _written(self, taken: _Taken, written: Future[Any]) -> None:
        with self._changed:
            self._writing -= 1
        # What fails otherwise would fail again: the writer has tried it alone, and said so.
        self._settle(taken, lasting=isinstance(written.exception(), OperationalError | InterfaceError))

    def _settle(self, taken: _Taken, *, lasting: bool = False) -> None:
        if taken.kept and not lasting:
            self._journal.settle()
        if taken.committed:
            taken.committed.set()
        with self._changed:
            self._done += 1
            self._done_bytes += len(taken.raw)
            self._changed.notify_all()
