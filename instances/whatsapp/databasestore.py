"""The stores of many instances as rows of one PostgreSQL database, each with its device.

The library keeps all devices of a database in the same tables and does not know which belongs to which instance. So
each of its connections bears the instance's id as ``application_name``, and a trigger notes it with the device, in the
transaction that makes the device. Poolers must pass that name on, as PgBouncer does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from instances.whatsapp.store import Store, StoreFailed

_LOOPBACK = ("127.", "::1", "localhost", "/")
_CONNECT_SECONDS, _STATEMENT_SECONDS = 5, 10
_OURS = "whatsapp-api"  # the application_name of what is not the library

_CHOSEN = "\x01chosen"
_RESTORE = (
    "UPDATE whatsmeow_contacts SET full_name = aside.full_name FROM gateway_contacts aside"
    " WHERE aside.our_jid = whatsmeow_contacts.our_jid AND aside.their_jid = whatsmeow_contacts.their_jid"
    " AND aside.our_jid IN (SELECT gateway_jids(%(instance)s))"
    " AND (coalesce(whatsmeow_contacts.full_name, '') = '' OR whatsmeow_contacts.full_name = %(chosen)s)",
    "DELETE FROM whatsmeow_contacts USING gateway_contacts aside"
    " WHERE aside.our_jid = whatsmeow_contacts.our_jid AND aside.their_jid = whatsmeow_contacts.their_jid"
    " AND aside.our_jid IN (SELECT gateway_jids(%(instance)s)) AND NOT aside.known"
    " AND concat(whatsmeow_contacts.full_name, first_name, push_name, business_name, redacted_phone) = ''",
    "DELETE FROM gateway_contacts WHERE our_jid IN (SELECT gateway_jids(%(instance)s))",
)
_NARROW = (
    *_RESTORE,
    "INSERT INTO gateway_contacts (our_jid, their_jid, full_name, known)"
    " SELECT our_jid, their_jid, full_name, true FROM whatsmeow_contacts"
    " WHERE our_jid IN (SELECT gateway_jids(%(instance)s)) AND full_name <> ''",
    "UPDATE whatsmeow_contacts SET full_name = NULL"
    " WHERE our_jid IN (SELECT gateway_jids(%(instance)s)) AND full_name <> ''",
    "INSERT INTO gateway_contacts (our_jid, their_jid, full_name, known)"
    " SELECT ours, chosen, NULL,"
    " EXISTS (SELECT FROM whatsmeow_contacts WHERE our_jid = ours AND their_jid = chosen)"
    " FROM unnest(%(jids)s::text[]) chosen, gateway_jids(%(instance)s) ours ON CONFLICT DO NOTHING",
    "INSERT INTO whatsmeow_contacts (our_jid, their_jid, full_name)"
    " SELECT ours, chosen, %(chosen)s FROM unnest(%(jids)s::text[]) chosen, gateway_jids(%(instance)s) ours"
    " ON CONFLICT (our_jid, their_jid) DO UPDATE SET full_name = excluded.full_name",
)
_DEVICE = "SELECT jid, lid FROM whatsmeow_device WHERE jid IN (SELECT gateway_jids(%(instance)s)) ORDER BY jid"
_ERASE = "DELETE FROM whatsmeow_device WHERE jid IN (SELECT gateway_jids(%(instance)s))"
_FORGET = (
    "DELETE FROM whatsmeow_message_secrets WHERE our_jid IN (SELECT gateway_jids(%(instance)s)) AND key = %(secret)s"
)
_PLACES = (
    "SELECT message_id AS wa_id, chat_jid AS chat, gateway_place AS place, gateway_place AS secret,"
    " gateway_place = (SELECT max(gateway_place) FROM whatsmeow_message_secrets every"
    "  WHERE every.our_jid = one.our_jid) AS is_last,"
    " gateway_signal(one.our_jid) AS signal"
    " FROM whatsmeow_message_secrets one"
    " WHERE our_jid IN (SELECT gateway_jids(%(instance)s)) AND key = %(secret)s"
)


class KeyDatabase:
    """Where such stores are: a URL as libpq reads it. An empty one is a database that is always away."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._given: dict[str, Any] = conninfo_to_dict(url)
        host = str(self._given.get("host") or "/")
        # The library's driver would insist on TLS, and ours would do without it.
        self._given.setdefault("sslmode", "disable" if host.startswith(_LOOPBACK) else "require")

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port, unless it is reached through a Unix socket."""
        host = str(self._given.get("host") or "/")
        return None if host.startswith("/") else (host, int(self._given.get("port") or 5432))

    def name(self, application_name: str) -> str:
        """The library's address of the database. It holds the password: for no command line and no log."""
        given: Mapping[str, Any] = self._given | {
            "application_name": application_name,
            "binary_parameters": "yes",  # no prepared statements, which a pooler loses between transactions
            "connect_timeout": _CONNECT_SECONDS,
        }
        return "postgres:///?" + urlencode(given, quote_via=quote)

    def connect(self) -> psycopg.Connection[dict[str, Any]]:
        """A connection through a pooler, whose calls end when the network is cut. Raises StoreFailed."""
        if not self.url:
            raise StoreFailed("The instance's keys are in PostgreSQL, and no address of it is set.")
        given = self._given | {"application_name": _OURS, "connect_timeout": _CONNECT_SECONDS}
        given |= {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 2, "tcp_user_timeout": 10_000}
        try:
            return psycopg.connect(**given, autocommit=True, prepare_threshold=None, row_factory=dict_row)
        except psycopg.Error as error:
            raise StoreFailed(_first_line(error)) from error

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection[dict[str, Any]]]:
        """Raises StoreFailed for whatever the database or the way to it has against it."""
        with closing(self.connect()) as connection:
            try:
                with connection.transaction():
                    connection.execute(f"SET LOCAL statement_timeout = '{_STATEMENT_SECONDS}s'")
                    yield connection
            except psycopg.Error as error:
                raise StoreFailed(_first_line(error)) from error


def _first_line(error: psycopg.Error) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class DatabaseStore(Store):
    """The rows of one instance. The database must have been made ready (``keydatabase``)."""

    kind = "postgres"

    def __init__(self, instance_id: str, database: KeyDatabase) -> None:
        self.instance_id, self.database = instance_id, database

    @property
    def name(self) -> str:
        return self.database.name(self.instance_id)

    def _run(self, *statements: str, **values: Any) -> list[dict[str, Any]]:
        """In one transaction; the rows of the last statement."""
        with self.database.transaction() as connection:
            for statement in statements:
                found = connection.execute(statement, {"instance": self.instance_id, "chosen": _CHOSEN, **values})
            return found.fetchall() if found.description else []

    def prepare(self) -> None:
        """Nothing: the tables are there."""

    def erase(self) -> None:
        self._run(_ERASE)

    def device(self) -> tuple[str, str | None] | None:
        found = self._run(_DEVICE)
        return (found[0]["jid"], found[0]["lid"] or None) if found else None

    def watch_order(self) -> None:
        """Nothing: the triggers are there for all."""

    def _places(self, secret: bytes) -> dict[str, Any] | None:
        found = self._run(_PLACES, secret=secret)
        return found[0] if found else None

    def forget_secret(self, secret: bytes) -> None:
        self._run(_FORGET, secret=secret)

    def narrow_audience(self, jids: Iterable[str]) -> None:
        self._run(*_NARROW, jids=sorted(set(jids)))

    def restore_contacts(self) -> None:
        self._run(*_RESTORE)
