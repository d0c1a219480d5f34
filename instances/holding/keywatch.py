"""Notices that the key database does not answer: a client library that cannot read its keys must not be online.

What arrives then cannot be decrypted, and WhatsApp is told that it was received. Off the network it waits there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Protocol

import psycopg
import structlog

from instances.holding.fence import clock
from instances.whatsapp.databasestore import KeyDatabase
from instances.whatsapp.store import StoreFailed

log = structlog.get_logger(__name__)
_ASK_SECONDS, _ASK_AGAIN_SECONDS, _LOOK_SECONDS = 1.0, 0.3, 0.1
_FAILURES = 2  # one alone may be a connection that the pooler closed
_SILENT_SECONDS = 3.0


class Keyed(Protocol):
    def leave_for_keys(self) -> None:
        """Be off the network until the key database answers; nothing for a number that has its keys elsewhere."""


class KeyWatch:
    """That of one process. Before `start` the database is taken to be there."""

    def __init__(self) -> None:
        self._there = threading.Event()
        self._there.set()
        self._stopped = threading.Event()
        self._leaving = threading.Lock()
        self._good_at = clock()
        self._failures = 0

    def start(self, database: KeyDatabase, numbers: Callable[[], Iterable[Keyed]]) -> None:
        self._database, self._numbers = database, numbers
        self._good_at = clock()
        for work in (self._ask, self._look):
            threading.Thread(target=work, name="key-watch", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def suspect(self) -> None:
        """A library could not read its keys; whether the database is there again is asked afterwards."""
        self._failures = _FAILURES
        self._leave()

    def wait(self, stopping: threading.Event) -> None:
        """Until the database is there, or the number is stopped."""
        while not self._there.wait(0.2) and not stopping.is_set():
            pass

    def _ask(self) -> None:
        connection: psycopg.Connection[dict[str, object]] | None = None
        while not self._stopped.wait(_ASK_AGAIN_SECONDS if self._failures else _ASK_SECONDS):
            try:
                connection = connection or self._database.connect()
                connection.execute("SELECT 1 FROM gateway_key_store")
                self._failures, self._good_at = 0, clock()
            except (StoreFailed, psycopg.Error) as error:
                if not self._failures:
                    log.info("key_store_silent", error=str(error).splitlines()[:1])
                self._failures += 1
                if connection:
                    connection.close()
                connection = None
        if connection:
            connection.close()

    def _look(self) -> None:
        while not self._stopped.wait(_LOOK_SECONDS):
            away = self._failures >= _FAILURES or clock() - self._good_at > _SILENT_SECONDS
            if away:
                self._leave()
            elif not self._there.is_set():
                log.warning("key_store_back")
                self._there.set()

    def _leave(self) -> None:
        with self._leaving:
            if not self._there.is_set():
                return
            self._there.clear()
        for number in self._numbers():
            threading.Thread(target=number.leave_for_keys, daemon=True).start()
        log.warning("key_store_away")


KEYS = KeyWatch()
