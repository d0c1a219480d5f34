"""Copies what one device has from a store of one kind into one of the other. No library may have either open.

Unlike in a session worker, SQLite's files are opened in this process: it must not have loaded the library.
"""

from __future__ import annotations

import re
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from instances.whatsapp import storefile
from instances.whatsapp.databasestore import DatabaseStore
from instances.whatsapp.filestore import FileStore
from instances.whatsapp.keydatabase import upgrade
from instances.whatsapp.store import Store, StoreFailed

_SHARED = {"whatsmeow_version", "whatsmeow_lid_map"}  # that are not of one device
_FIRST = ("whatsmeow_device", "whatsmeow_app_state_version")  # to which others refer
_SECRETS = "whatsmeow_message_secrets"
# Whose phone numbers and LIDs go along, as the library knows them.
_PEOPLE = (("whatsmeow_contacts", "their_jid"), ("whatsmeow_sessions", "their_id"))
_USER = re.compile("[0-9]+")
_BATCH = 1000
_Row = Sequence[Any]


class _Side(ABC):
    """One of the two stores, within a transaction."""

    @abstractmethod
    def version(self) -> tuple[Any, ...]:
        """That of the library's tables."""

    @abstractmethod
    def tables(self) -> dict[str, list[str]]:
        """The library's tables that each device has rows in, with their columns in alphabetical order."""

    @abstractmethod
    def rows(self, table: str, columns: list[str], jid: str) -> Iterator[_Row]:
        """Those of the device; message secrets in the order in which they came."""

    @abstractmethod
    def insert(self, table: str, columns: list[str], rows: Iterable[_Row]) -> None: ...

    @abstractmethod
    def count(self, table: str, owner: str, jid: str) -> int: ...

    @abstractmethod
    def lids(self, users: list[str]) -> list[_Row]:
        """LID and phone number of each of those users that has both."""

    @abstractmethod
    def learn_lids(self, rows: Iterable[_Row]) -> None:
        """What the store knows already goes before."""

    @abstractmethod
    def ends_unencrypted(self, jid: str) -> bool:
        """Whether the last message that was begun is known not to have been encrypted."""

    @abstractmethod
    def set_order(self, jid: str, ends_unencrypted: bool) -> None:
        """Have `ends_unencrypted` answer that."""


class _File(_Side):
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def version(self) -> tuple[Any, ...]:
        return tuple(self._connection.execute("SELECT version, compat FROM whatsmeow_version").fetchall())

    def tables(self) -> dict[str, list[str]]:
        names = self._connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'whatsmeow_*'"
        )
        found = {
            name: self._connection.execute("SELECT name FROM pragma_table_info(?)", [name])
            for (name,) in names.fetchall()
        }
        return {name: sorted(column for (column,) in rows) for name, rows in found.items() if name not in _SHARED}

    def rows(self, table: str, columns: list[str], jid: str) -> Iterator[_Row]:
        of_device = f"FROM {table} WHERE {_owner(columns)} = ? ORDER BY rowid"
        yield from self._connection.execute(f"SELECT {', '.join(columns)} {of_device}", [jid])

    def insert(self, table: str, columns: list[str], rows: Iterable[_Row]) -> None:
        into = f"{table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
        plain = ([str(value) if isinstance(value, UUID) else value for value in row] for row in rows)
        self._connection.executemany(f"INSERT INTO {into}", plain)

    def count(self, table: str, owner: str, jid: str) -> int:
        found = self._connection.execute(f"SELECT count(*) FROM {table} WHERE {owner} = ?", [jid])  # noqa: S608
        return int(found.fetchone()[0])

    def lids(self, users: list[str]) -> list[_Row]:
        return self._connection.execute("SELECT lid, pn FROM whatsmeow_lid_map").fetchall()

    def learn_lids(self, rows: Iterable[_Row]) -> None:
        self._connection.executemany("INSERT OR IGNORE INTO whatsmeow_lid_map (lid, pn) VALUES (?, ?)", rows)

    def ends_unencrypted(self, jid: str) -> bool:
        has = self._connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'gateway_order'").fetchone()
        places = dict(self._connection.execute("SELECT what, place FROM gateway_order")) if has else {}
        return bool(places.get("secret", 0) > places.get("signal", 0))

    def set_order(self, jid: str, ends_unencrypted: bool) -> None:
        storefile.install_order(self._connection)
        for what, place in (("secret", 2 if ends_unencrypted else 0), ("signal", 1)):
            self._connection.execute("UPDATE gateway_order SET place = ? WHERE what = ?", [place, what])


class _Database(_Side):
    def __init__(self, connection: psycopg.Connection[Any], instance: str) -> None:
        self._connection, self._instance = connection, instance

    def _ask(self, statement: Any, *values: Any) -> list[_Row]:
        with self._connection.cursor(row_factory=tuple_row) as cursor:
            return list(cursor.execute(statement, values or None).fetchall())

    def version(self) -> tuple[Any, ...]:
        return tuple(self._ask("SELECT version, compat FROM whatsmeow_version"))

    def tables(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for table, column, _ in self._columns():
            found.setdefault(table, []).append(column)
        return {name: sorted(columns) for name, columns in found.items()}

    def _columns(self) -> list[_Row]:
        found = self._ask(
            "SELECT relname, attname, format_type(atttypid, NULL)"
            " FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid"
            " WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND NOT attisdropped"
            r" AND attnum > 0 AND attname <> 'gateway_place' AND relname LIKE 'whatsmeow\_%'"
        )
        return [row for row in found if row[0] not in _SHARED]

    def rows(self, table: str, columns: list[str], jid: str) -> Iterator[_Row]:
        order = sql.SQL(" ORDER BY gateway_place") if table == _SECRETS else sql.SQL("")
        chosen = sql.SQL(", ").join(map(sql.Identifier, columns))
        names = {"columns": chosen, "table": sql.Identifier(table), "owner": sql.Identifier(_owner(columns))}
        statement = sql.SQL("SELECT {columns} FROM {table} WHERE {owner} = %s").format(**names) + order
        yield from self._ask(statement, jid)

    def insert(self, table: str, columns: list[str], rows: Iterable[_Row]) -> None:
        if table == _FIRST[0]:
            self._connection.execute("SELECT set_config('application_name', %s, true)", [self._instance])
        switches = {column for name, column, kind in self._columns() if name == table and kind == "boolean"}
        at = [number for number, column in enumerate(columns) if column in switches]
        names = {"table": sql.Identifier(table), "columns": sql.SQL(", ").join(map(sql.Identifier, columns))}
        marks = sql.SQL(", ").join([sql.Placeholder()] * len(columns))
        statement = sql.SQL("INSERT INTO {table} ({columns}) VALUES ({marks})").format(marks=marks, **names)
        with self._connection.cursor() as cursor:
            cursor.executemany(
                statement,
                ([bool(value) if number in at else value for number, value in enumerate(row)] for row in rows),
            )

    def count(self, table: str, owner: str, jid: str) -> int:
        names = {"table": sql.Identifier(table), "owner": sql.Identifier(owner)}
        return int(self._ask(sql.SQL("SELECT count(*) FROM {table} WHERE {owner} = %s").format(**names), jid)[0][0])

    def lids(self, users: list[str]) -> list[_Row]:
        return self._ask("SELECT lid, pn FROM whatsmeow_lid_map WHERE lid = ANY(%s) OR pn = ANY(%s)", users, users)

    def learn_lids(self, rows: Iterable[_Row]) -> None:
        with self._connection.cursor() as cursor:
            statement = "INSERT INTO whatsmeow_lid_map (lid, pn) VALUES (%s, %s) ON CONFLICT DO NOTHING"
            cursor.executemany(statement, list(rows))

    def ends_unencrypted(self, jid: str) -> bool:
        found = self._ask(
            "SELECT max(gateway_place) > gateway_signal(%s) FROM whatsmeow_message_secrets WHERE our_jid = %s",
            jid,
            jid,
        )
        return bool(found[0][0])

    def set_order(self, jid: str, ends_unencrypted: bool) -> None:
        if ends_unencrypted:
            statement = (
                "UPDATE whatsmeow_message_secrets SET gateway_place = nextval('gateway_places') WHERE our_jid = %s"
                " AND gateway_place = (SELECT max(gateway_place) FROM whatsmeow_message_secrets WHERE our_jid = %s)"
            )
            self._connection.execute(statement, [jid, jid])
        else:
            statement = "INSERT INTO gateway_signals (our_jid, place) VALUES (%s, nextval('gateway_places'))"
            self._connection.execute(statement, [jid])


def _owner(columns: list[str]) -> str:
    return "our_jid" if "our_jid" in columns else "jid"


@contextmanager
def _opened(store: Store) -> Iterator[_Side]:
    """A store in one transaction, which is durable when this returns."""
    if isinstance(store, DatabaseStore):
        with store.database.transaction() as connection:
            connection.execute("SET LOCAL statement_timeout = '120s'; SET LOCAL synchronous_commit = on")
            yield _Database(connection, store.instance_id)
        return
    assert isinstance(store, FileStore)
    try:
        with closing(sqlite3.connect(store.path, timeout=15, isolation_level=None)) as connection:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            yield _File(connection)
            connection.execute("COMMIT")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise StoreFailed(repr(error)) from error


def copy(source: Store, target: Store, device_jid: str) -> int:
    """Make the target the same as the source for this device, all or nothing; returns the number of rows.

    What the target had of the instance is gone. Raises StoreFailed, also when not each row arrived.
    """
    target.prepare()
    target.erase()
    if isinstance(target, FileStore):
        target.path.touch(mode=0o600)
        target.path.write_bytes(_empty_file())
    source.restore_contacts()
    if isinstance(source, FileStore) and _version(source) != _version(target):
        upgrade(source.name)
    with _opened(source) as read, _opened(target) as write:
        return _copy(read, write, device_jid)


@cache
def _empty_file() -> bytes:
    """A store of the library without a device; half a second the first time."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        upgrade(f"{path}?_foreign_keys=on&_x=")
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return path.read_bytes()


def _version(store: Store) -> tuple[Any, ...]:
    with _opened(store) as side:
        return side.version()


def _copy(read: _Side, write: _Side, jid: str) -> int:
    tables = read.tables()
    if read.version() != write.version() or tables != write.tables():
        raise StoreFailed("The library's tables in the two stores are not of the same version.")
    if strange := [name for name, columns in tables.items() if not {"jid", "our_jid"} & set(columns)]:
        raise StoreFailed(f"Unknown tables of the library: {', '.join(strange)}.")
    if write.count(_FIRST[0], "jid", jid):
        raise StoreFailed("The store has another link of this device, of another instance.")
    users: set[str] = set()
    total = 0
    for table in (*_FIRST, *sorted(set(tables) - set(_FIRST))):
        columns = tables[table]
        seen = [columns.index(column) for name, column in _PEOPLE if name == table]
        rows = list(read.rows(table, columns, jid))
        users |= {match[0] for row in rows for index in seen if (match := _USER.match(row[index]))}
        for start in range(0, len(rows), _BATCH):
            write.insert(table, columns, rows[start : start + _BATCH])
        there = write.count(table, _owner(columns), jid)
        if there != len(rows) or there != read.count(table, _owner(columns), jid):
            raise StoreFailed(f"{table}: {there} of {len(rows)} rows arrived.")
        total += there
    write.learn_lids(read.lids(sorted(users)))
    write.set_order(jid, read.ends_unencrypted(jid))
    return total
