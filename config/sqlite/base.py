"""Writers wait for their turn at a lock of the kernel before they begin.

SQLite's own busy handler sleeps up to 100 ms between two looks and lets whoever looks first go first: with a few
writers a transaction of 3 ms waits for seconds. ``flock`` wakes the next one at once. It only orders the writers;
what makes them safe is still SQLite's lock. The kernel frees the lock of a killed process; a writer that is
stopped (SIGSTOP) inside a transaction holds up the others until it goes on.
"""

from __future__ import annotations

import fcntl
import os
from typing import Any

from django.db.backends.sqlite3 import base


class DatabaseWrapper(base.DatabaseWrapper):
    """Queues transactions that Django begins with BEGIN IMMEDIATE; single statements in autocommit do not queue."""

    _turn: int | None = None  # file descriptor of the lock

    def _start_transaction_under_autocommit(self) -> None:
        if self._turn is None and not self.is_in_memory_db():
            self._turn = os.open(f"{self.settings_dict['NAME']}-turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if self._turn is not None:
            fcntl.flock(self._turn, fcntl.LOCK_EX)
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]  # the stubs lack it
        except BaseException:
            self._end_turn()
            raise

    def _end_turn(self) -> None:
        if self._turn is not None:
            fcntl.flock(self._turn, fcntl.LOCK_UN)

    def _commit(self) -> Any:
        try:
            return super()._commit()  # type: ignore[misc]  # the stubs lack it
        finally:
            self._end_turn()

    def _rollback(self) -> Any:
        try:
            return super()._rollback()  # type: ignore[misc]  # the stubs lack it
        finally:
            self._end_turn()

    def _close(self) -> Any:
        try:
            return super()._close()  # type: ignore[misc]  # the stubs lack it
        finally:
            if self._turn is not None:
                os.close(self._turn)
                self._turn = None
