"""What survives the process: every entity of the network as a row of one SQLite file.

Entities are written behind: `put` and `delete` only note what changed, `flush` writes all of it
in one transaction.  A session flushes before a stanza leaves and the control API before it
answers, so nothing that the outside has been told can be lost by a kill.  A flush writes what
changed, never everything, so its cost does not grow with the state.

Values are MessagePack (msgspec): loading them builds data of declared types and runs no code.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

log = logging.getLogger(__name__)

T = TypeVar("T")
VERSION = 1  # of the rows' meaning; a file of another version is set aside
_APPLICATION = 0x57414E54  # marks the file as ours
_MERGE_AFTER = 200  # flushes
_LOG_LIMIT = 20_000  # pages (80 MB) from which on a flush merges by itself, should nobody else do it

_encode = msgspec.msgpack.Encoder().encode


class State:
    """Rows (kind, key) -> value.  Without a path it lives in memory, for tests."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._changes: dict[tuple[str, str], Any] = {}
        self._flushes = 0  # since the last merge
        self._db = _open(path) if path else _create(sqlite3.connect(":memory:", isolation_level=None))

    def put(self, kind: str, key: str, value: Any) -> None:
        """Write a row at the next flush.  A callable is asked for the value then, so that an entity
        that changes often is encoded once."""
        self._changes[kind, key] = value

    def delete(self, kind: str, key: str) -> None:
        self._changes[kind, key] = None

    def flush(self) -> None:
        """Write everything noted so far in one transaction; afterwards a kill cannot undo it."""
        if not self._changes:
            return
        changes, self._changes = self._changes, {}
        rows, gone = [], []
        for (kind, key), value in changes.items():
            if value is None:
                gone.append((kind, key))
            else:
                rows.append((kind, key, _encode(value() if callable(value) else value)))
        db = self._db
        db.execute("BEGIN")
        if gone:
            db.executemany("DELETE FROM entry WHERE kind = ? AND key = ?", gone)
        if rows:
            db.executemany("INSERT OR REPLACE INTO entry (kind, key, value) VALUES (?, ?, ?)", rows)
        db.execute("COMMIT")
        self._flushes += 1

    @property
    def should_merge(self) -> bool:
        return self._path is not None and self._flushes >= _MERGE_AFTER

    def merge(self) -> None:
        """Move the write-ahead log into the file and force it to disk.

        For another thread: it may take long on a busy disk, and flushes go on meanwhile.
        """
        assert self._path is not None, "a state in memory has no log"
        self._flushes = 0
        with contextlib.closing(sqlite3.connect(self._path)) as db:
            db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def load(self, kind: str, type_: type[T]) -> Iterator[tuple[str, T]]:
        """All rows of a kind, sorted by key."""
        decode = msgspec.msgpack.Decoder(type_).decode
        for key, value in self._db.execute("SELECT key, value FROM entry WHERE kind = ? ORDER BY key", (kind,)):
            yield key, decode(value)

    def close(self) -> None:
        self.flush()
        self._db.close()


def _create(db: sqlite3.Connection) -> sqlite3.Connection:
    # One B-tree instead of two: a flush takes half the time.
    db.execute(
        "CREATE TABLE IF NOT EXISTS entry"
        " (kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID"
    )
    db.execute(f"PRAGMA application_id = {_APPLICATION}")
    db.execute(f"PRAGMA user_version = {VERSION}")
    return db


def _open(path: Path) -> sqlite3.Connection:
    """Open or create the file with mode 0600.  One of another version or that is damaged is renamed, and a
    fresh one takes its place."""
    path.touch(mode=0o600)
    try:
        return _create(_connect(path))
    except (sqlite3.DatabaseError, _OtherVersion) as e:
        aside = path.with_name(f"{path.name}.unusable-{os.getpid()}")
        log.warning("starting with an empty network: %s (kept as %s)", e, aside.name)
        path.rename(aside)
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        path.touch(mode=0o600)
        return _create(_connect(path))


class _OtherVersion(Exception):
    pass


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None)
    try:
        # With WAL and NORMAL a commit outlives the process at once, and a power failure can take back
        # the last commits but not damage the file.
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(f"PRAGMA wal_autocheckpoint = {_LOG_LIMIT}")
        ((version,),) = db.execute("PRAGMA user_version")
        ((application,),) = db.execute("PRAGMA application_id")
        if (application, version) not in ((_APPLICATION, VERSION), (0, 0)):
            raise _OtherVersion(f"the state file has version {version}, this program reads version {VERSION}")
        if "ok" not in db.execute("PRAGMA quick_check(1)").fetchone():
            raise _OtherVersion("the state file is damaged")
    except BaseException:
        db.close()
        raise
    return db
