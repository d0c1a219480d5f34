"""What we read and change in the client library's own database, as a process beside the one that has it open.

SQLite's locks belong to a process, and a copy of SQLite knows only its own. The library brings a copy: were the file
opened by Python's as well, in the same process, its closing would end the library's locks and delete the log (WAL)
from under it, and all keys used since would be lost with the process. So a session worker asks this process, as
``python -m instances.whatsapp.storefile``: a line of JSON for each call, ``[function, path, *arguments]``, and for its
result ``{"result": …}`` or ``{"error": text}``. It ends with its standard input.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

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


@contextmanager
def _open(path: str) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, timeout=15, isolation_level=None)) as connection:
        yield connection


@contextmanager
def _transaction(path: str) -> Iterator[sqlite3.Connection]:
    with _open(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")


def device(path: str) -> list[str | None] | None:
    """The linked device's JID and LID, or None when the store holds no link."""
    if not Path(path).exists():
        return None
    with _open(path) as connection:
        try:
            row = connection.execute("SELECT jid, lid FROM whatsmeow_device").fetchone()
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            return None
    return [row[0], row[1] or None] if row else None


def watch_order(path: str) -> None:
    """Install the table and triggers; idempotent. The library must have made its tables."""
    with _transaction(path) as connection:
        install_order(connection)


def install_order(connection: sqlite3.Connection) -> None:
    """The same in the caller's transaction."""
    connection.execute(_ORDER_TABLE)
    connection.execute(_ORDER_ROWS)
    for name, (act, table, what) in _TRIGGERS.items():
        note = _NOTE.format(what=what)
        connection.execute(f"CREATE TRIGGER IF NOT EXISTS {name} AFTER {act} ON {table} BEGIN {note}; END")


def trace(path: str, secret: str) -> dict[str, Any] | None:
    """Where the message with a secret (hex) stands in the order of beginning; None if it was never begun.

    ``{"wa_id", "chat", "place", "is_last", "secret": place, "signal": place}``.
    """
    with _open(path) as connection:
        row = connection.execute(
            "SELECT message_id, chat_jid, rowid, rowid = (SELECT max(rowid) FROM whatsmeow_message_secrets)"
            " FROM whatsmeow_message_secrets WHERE key = ?",
            [bytes.fromhex(secret)],
        ).fetchone()
        if row is None:
            return None
        places = dict(connection.execute("SELECT what, place FROM gateway_order").fetchall())
    return {"secret": 0, "signal": 0} | places | dict(zip(("wa_id", "chat", "place", "is_last"), row, strict=True))


def forget_secret(path: str, secret: str) -> None:
    """Drop the message secret (hex)."""
    if Path(path).exists():
        with _open(path) as connection:
            gone = connection.execute("DELETE FROM whatsmeow_message_secrets WHERE key = ?", [bytes.fromhex(secret)])
            if gone.rowcount:  # its place must not be taken for that of the message before
                connection.execute("UPDATE gateway_order SET place = 0 WHERE what = 'secret'")


def narrow_audience(path: str, jids: list[str]) -> None:
    """Leave only these people in the address book, until `restore_contacts`."""
    with _transaction(path) as connection:
        connection.execute(_ASIDE_TABLE)
        for statement in _RESTORE:
            connection.execute(statement)
        connection.execute(
            "INSERT INTO gateway_contacts SELECT their_jid, full_name, 1 FROM whatsmeow_contacts WHERE full_name <> ''"
        )
        connection.execute("UPDATE whatsmeow_contacts SET full_name = NULL WHERE full_name <> ''")
        for jid in jids:
            connection.execute(
                "INSERT OR IGNORE INTO gateway_contacts VALUES"
                " (?, NULL, EXISTS (SELECT 1 FROM whatsmeow_contacts WHERE their_jid = ?))",
                [jid, jid],
            )
            connection.execute(
                "INSERT INTO whatsmeow_contacts (our_jid, their_jid, full_name)"
                " VALUES ((SELECT jid FROM whatsmeow_device), ?, ?)"
                " ON CONFLICT (our_jid, their_jid) DO UPDATE SET full_name = excluded.full_name",
                [jid, _CHOSEN],
            )


def restore_contacts(path: str) -> None:
    """Put the address book back; names that came meanwhile stay. Idempotent, also after a crash in between."""
    with _transaction(path) as connection:
        connection.execute(_ASIDE_TABLE)
        for statement in _RESTORE:
            connection.execute(statement)


_CALLS: dict[str, Callable[..., Any]] = {
    call.__name__: call for call in (device, watch_order, trace, forget_secret, narrow_audience, restore_contacts)
}


def _answer(line: str) -> dict[str, Any]:
    try:
        name, path, *arguments = json.loads(line)
        return {"result": _CALLS[name](path, *arguments)}
    except Exception as error:
        return {"error": repr(error)}


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(_answer(line)), flush=True)


if __name__ == "__main__":
    main()
