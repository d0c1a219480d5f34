"""From the library's callback to the database: what a number was told is journalled, then written behind."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple

from django.db import InterfaceError, OperationalError

from instances.holding.journal import Journal
from instances.holding.writer import Writer

MOST_EVENTS, MOST_BYTES = 2_000, 16 * 2**20  # not yet committed; beyond it WhatsApp keeps what comes
_AT_ONCE = 100  # with the writer, so that a number that gets a lot does not hold up the others


class _Fact(NamedTuple):
    news: Any
    size: int
    urgent: bool
    kept: bool
    committed: threading.Event


class Intake:
    """That of one holding of a number. Facts are written in the order they came, whoever holds the lease by then."""

    def __init__(self, instance_id: str, epoch: int, writer: Writer) -> None:
        self._instance_id, self._writer = instance_id, writer
        self._journal = Journal(instance_id, epoch)
        self._changed = threading.Condition()
        self._waiting: deque[_Fact] = deque()
        self._writing = self._events = self._bytes = 0
        self._released = False

    def keep(self, code: int, raw: bytes) -> bool:
        """Put an event on disk; `write` or `drop` must follow. False when the disk does not take it."""
        return self._journal.append(code, raw)

    def drop(self) -> None:
        """A kept event means nothing to us."""
        self._journal.settle()

    def write(self, news: Any, size: int, *, kept: bool, urgent: bool = True, wait: bool = False) -> None:
        """Have news of an event of ``size`` bytes written. Returns at once as a rule.

        With ``wait`` it returns when they are committed: the library then confirms no more than can be lost. It also
        waits for room when too much is to be written already, until `release`.
        """
        fact = _Fact(news, size, urgent, kept, threading.Event())
        with self._changed:
            self._waiting.append(fact)
            self._events += 1
            self._bytes += size
            self._feed()
            while not self._released and (self._events > MOST_EVENTS or self._bytes > MOST_BYTES):
                self._changed.wait()
        if wait:
            fact.committed.wait()

    def release(self) -> None:
        """Nobody waits for room any more: the library is about to be stopped, and drops what it could not hand over."""
        with self._changed:
            self._released = True
            self._changed.notify_all()

    def wait(self, deadline: float) -> None:
        """Wait until all is committed, or for the deadline (monotonic clock)."""
        with self._changed:
            self._changed.wait_for(lambda: not self._events, max(0.0, deadline - time.monotonic()))

    def end(self) -> None:
        """The library reports nothing any more; the journal goes with the last commit."""
        self._journal.end()

    def _feed(self) -> None:
        while self._waiting and self._writing < _AT_ONCE:
            fact = self._waiting.popleft()
            self._writing += 1
            written = self._writer.submit(self._instance_id, None, fact.news, urgent=fact.urgent)
            written.add_done_callback(partial(self._written, fact))

    def _written(self, fact: _Fact, written: Future[Any]) -> None:
        # What fails otherwise would fail again: the writer has tried it alone, and said so.
        if fact.kept and not isinstance(written.exception(), OperationalError | InterfaceError):
            self._journal.settle()
        fact.committed.set()
        with self._changed:
            self._writing -= 1
            self._events -= 1
            self._bytes -= fact.size
            self._feed()
            self._changed.notify_all()
