"""The client library's own database of one instance: a WAL SQLite file under SESSION_STORE_DIR.

Beside the library's tables it has one of ours, written by triggers in the library's own transactions:
``gateway_order`` notes when the last message secret was stored and when Signal state last changed.
Both happen in that order before a message leaves, so after a crash the pair tells whether the last
message can have left (docs/decisions/0003-settling-doubt.md).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from django.conf import settings

from instances.whatsapp.jids import NEWSLETTER

# The library appends "?_foreign_keys=on" to the name; the last parameter swallows it.
_PARAMETERS = "?_journal_mode=WAL&_synchronous=NORMAL&_foreign_keys=on&_busy_timeout=15000&_x="
_ORDER_TABLE = "CREATE TABLE IF NOT EXISTS gateway_order (what TEXT PRIMARY KEY, place INTEGER NOT NULL)"
_ORDER_ROWS = "INSERT OR IGNORE INTO gateway_order VALUES ('secret', 0), ('signal', 0)"
_NOTE = "UPDATE gateway_order SET place = (SELECT max(place) + 1 FROM gateway_order) WHERE what = '{what}'"
_TRIGGERS = {
    "gateway_secret": ("INSERT", "whatsmeow_message_secrets", "secret"),
    "gateway_session_new": ("INSERT", "whatsmeow_sessions", "signal"),
    "gateway_session": ("UPDATE", "whatsmeow_sessions", "signal"),
    "gateway_sender_key_new": ("INSERT", "whatsmeow_sender_keys", "signal"),
    "gateway_sender_key": ("UPDATE", "whatsmeow_sender_keys", "signal"),
}


# The contacts whose names are out of the way while a status goes to a chosen audience.
_ASIDE_TABLE = (
    "CREATE TABLE IF NOT EXISTS gateway_contacts (their_jid TEXT PRIMARY KEY, full_name TEXT, known INTEGER NOT NULL)"
)
_CHOSEN = "\x01chosen"
_RESTORE = (
    "UPDATE whatsmeow_contacts SET full_name ="
    " (SELECT full_name FROM gateway_contacts aside WHERE aside.their_jid = whatsmeow_contacts.their_jid)"
    " WHERE their_jid IN (SELECT their_jid FROM gateway_contacts)"
    " AND (coalesce(full_name, '') = '' OR full_name = char(1) || 'chosen')",
    "DELETE FROM whatsmeow_contacts WHERE their_jid IN (SELECT their_jid FROM gateway_contacts WHERE NOT known)"
    " AND coalesce(full_name, '') || coalesce(first_name, '') || coalesce(push_name, '')"
    " || coalesce(business_name, '') || coalesce(redacted_phone, '') = ''",
    "DELETE FROM gateway_contacts",
)


class Trace(Enum):
    """What the store knows of a message whose sending was cut short."""

    ABSENT = "the library never began: it did not leave"
    NOT_ENCRYPTED = "it was begun, but not encrypted: it did not leave"
    POSSIBLE = "it may have left, or nobody can know"


class Trail(NamedTuple):
    """What the store knows of a message: the id WhatsApp knows it by, and its place in the order of beginning."""

    trace: Trace
    wa_id: str | None = None
    place: int = 0


class Store:
    """The file of one instance. Every method opens and closes it, so that no handle outlives a link."""

    def __init__(self, instance_id: str) -> None:
        self.path = Path(settings.SESSION_STORE_DIR) / f"{instance_id}.db"

    @property
    def name(self) -> str:
        """What the library takes as the name of its database."""
        return f"{self.path}{_PARAMETERS}"

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, timeout=15, isolation_level=None)) as connection:
            yield connection

    def prepare(self) -> None:
        """Make the folder, readable by this user alone: the keys in it are in clear."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)

    def erase(self) -> None:
        """Delete the file; the keys of a removed link are of no use."""
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def has_device(self, device_jid: str) -> bool:
        """False also for a missing file. To connect without the row would end the process."""
        device = self.device()
        return device is not None and device[0] == device_jid

    def device(self) -> tuple[str, str | None] | None:
        """The linked device's JID and LID, or None when the store holds no link."""
        if not self.path.exists():
            return None
        with self._open() as connection:
            try:
                row = connection.execute("SELECT jid, lid FROM whatsmeow_device").fetchone()
            except sqlite3.OperationalError:
                return None
        return (row[0], row[1] or None) if row else None

    def watch_order(self) -> None:
        """Install the table and triggers; idempotent. The library must have made its tables."""
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(_ORDER_TABLE)
            connection.execute(_ORDER_ROWS)
            for name, (act, table, what) in _TRIGGERS.items():
                note = _NOTE.format(what=what)
                connection.execute(f"CREATE TRIGGER IF NOT EXISTS {name} AFTER {act} ON {table} BEGIN {note}; END")
            connection.execute("COMMIT")

    def trace(self, secret: bytes) -> Trail:
        """What became of the message with this secret.

        Call it while the number is offline: an inbound message changes Signal state too, which makes a
        POSSIBLE out of a NOT_ENCRYPTED (never the other way round). Without a linked device the secrets are
        gone with it, so nothing is known: POSSIBLE, without an id.
        """
        if self.device() is None:
            return Trail(Trace.POSSIBLE)
        with self._open() as connection:
            row = connection.execute(
                "SELECT message_id, rowid, rowid = (SELECT max(rowid) FROM whatsmeow_message_secrets), chat_jid"
                " FROM whatsmeow_message_secrets WHERE key = ?",
                [secret],
            ).fetchone()
            if row is None:
                return Trail(Trace.ABSENT)
            message_id, place, is_last, chat = row
            places = dict(connection.execute("SELECT what, place FROM gateway_order").fetchall())
        encrypted = not chat.endswith(f"@{NEWSLETTER}")  # channels are not, so their messages leave no other trace
        if is_last and encrypted and places.get("secret", 0) > places.get("signal", 0):
            return Trail(Trace.NOT_ENCRYPTED, message_id, place)
        return Trail(Trace.POSSIBLE, message_id, place)

    def forget_secret(self, secret: bytes) -> None:
        """Drop a settled message's secret, so that a second attempt is told apart from the first."""
        if not self.path.exists():
            return
        with self._open() as connection:
            connection.execute("DELETE FROM whatsmeow_message_secrets WHERE key = ?", [secret])

    def narrow_audience(self, jids: Iterable[str]) -> None:
        """Leave only these people in the address book, until `restore_contacts`.

        The library sends a status to everybody who has a name in its address book
        (docs/decisions/0012-audience-of-a-status.md).
        """
        device = self.device()
        assert device is not None, "connected"
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(_ASIDE_TABLE)
            for statement in _RESTORE:
                connection.execute(statement)
            connection.execute(
                "INSERT INTO gateway_contacts SELECT their_jid, full_name, 1 FROM whatsmeow_contacts"
                " WHERE full_name <> ''"
            )
            connection.execute("UPDATE whatsmeow_contacts SET full_name = NULL WHERE full_name <> ''")
            for jid in jids:
                connection.execute(
                    "INSERT OR IGNORE INTO gateway_contacts VALUES"
                    " (?, NULL, EXISTS (SELECT 1 FROM whatsmeow_contacts WHERE their_jid = ?))",
                    [jid, jid],
                )
                connection.execute(
                    "INSERT INTO whatsmeow_contacts (our_jid, their_jid, full_name) VALUES (?, ?, ?)"
                    " ON CONFLICT (our_jid, their_jid) DO UPDATE SET full_name = excluded.full_name",
                    [device[0], jid, _CHOSEN],
                )
            connection.execute("COMMIT")

    def restore_contacts(self) -> None:
        """Put the address book back; names that came meanwhile stay. Idempotent, also after a crash in between."""
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(_ASIDE_TABLE)
            for statement in _RESTORE:
                connection.execute(statement)
            connection.execute("COMMIT")
