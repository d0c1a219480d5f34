"""The client library's tables, as it makes them, for tests of what we read and add there."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from contextlib import closing
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import psycopg
from psycopg.rows import tuple_row

from instances.whatsapp.databasestore import DatabaseStore
from instances.whatsapp.filestore import FileStore

DEVICE = "15550100001:3@s.whatsapp.net"
_TABLES = """
CREATE TABLE whatsmeow_device (
    jid TEXT PRIMARY KEY, lid TEXT, facebook_uuid uuid,
    registration_id BIGINT NOT NULL CHECK ( registration_id >= 0 AND registration_id < 4294967296 ),
    noise_key    bytea NOT NULL CHECK ( length(noise_key) = 32 ),
    identity_key bytea NOT NULL CHECK ( length(identity_key) = 32 ),
    signed_pre_key     bytea   NOT NULL CHECK ( length(signed_pre_key) = 32 ),
    signed_pre_key_id  INTEGER NOT NULL CHECK ( signed_pre_key_id >= 0 AND signed_pre_key_id < 16777216 ),
    signed_pre_key_sig bytea   NOT NULL CHECK ( length(signed_pre_key_sig) = 64 ),
    adv_key bytea NOT NULL, adv_details bytea NOT NULL,
    adv_account_sig     bytea NOT NULL CHECK ( length(adv_account_sig) = 64 ),
    adv_account_sig_key bytea NOT NULL CHECK ( length(adv_account_sig_key) = 32 ),
    adv_device_sig      bytea NOT NULL CHECK ( length(adv_device_sig) = 64 ),
    platform TEXT NOT NULL DEFAULT '', business_name TEXT NOT NULL DEFAULT '', push_name TEXT NOT NULL DEFAULT '',
    lid_migration_ts BIGINT NOT NULL DEFAULT 0, companion_meta_nonce TEXT NOT NULL DEFAULT ''
);
CREATE TABLE whatsmeow_sessions (
    our_jid TEXT, their_id TEXT, session bytea,
    PRIMARY KEY (our_jid, their_id),
    FOREIGN KEY (our_jid) REFERENCES whatsmeow_device(jid) ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE TABLE whatsmeow_sender_keys (
    our_jid TEXT, chat_id TEXT, sender_id TEXT, sender_key bytea NOT NULL,
    PRIMARY KEY (our_jid, chat_id, sender_id),
    FOREIGN KEY (our_jid) REFERENCES whatsmeow_device(jid) ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE TABLE whatsmeow_message_secrets (
    our_jid TEXT, chat_jid TEXT, sender_jid TEXT, message_id TEXT, key bytea NOT NULL,
    PRIMARY KEY (our_jid, chat_jid, sender_jid, message_id),
    FOREIGN KEY (our_jid) REFERENCES whatsmeow_device(jid) ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE TABLE whatsmeow_contacts (
    our_jid TEXT, their_jid TEXT, first_name TEXT, full_name TEXT, push_name TEXT, business_name TEXT,
    redacted_phone TEXT,
    PRIMARY KEY (our_jid, their_jid),
    FOREIGN KEY (our_jid) REFERENCES whatsmeow_device(jid) ON DELETE CASCADE ON UPDATE CASCADE
);
"""


class Library(ABC):
    """Writes what the client library would, in the statements it uses."""

    @abstractmethod
    def run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """With question marks for the values; the rows, if there are any."""

    @abstractmethod
    def make_tables(self) -> None: ...

    def link(self, jid: str = DEVICE, lid: str | None = "777:3@lid", noise_key: bytes = b"n" * 32) -> None:
        key, signature = b"k" * 32, b"s" * 64
        self.run(
            "INSERT INTO whatsmeow_device (jid, lid, registration_id, noise_key, identity_key, signed_pre_key,"
            " signed_pre_key_id, signed_pre_key_sig, adv_key, adv_details, adv_account_sig, adv_account_sig_key,"
            " adv_device_sig) VALUES (?, ?, 1, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (jid) DO UPDATE SET lid = excluded.lid",
            jid, lid, noise_key, key, key, signature, key, b"", signature, key, signature,
        )  # fmt: skip

    def store_secret(self, message_id: str, secret: bytes, chat: str = "15550100002@s.whatsapp.net") -> None:
        self.run(
            "INSERT INTO whatsmeow_message_secrets (our_jid, chat_jid, sender_jid, message_id, key)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT (our_jid, chat_jid, sender_jid, message_id) DO NOTHING",
            DEVICE, chat, DEVICE, message_id, secret,
        )  # fmt: skip

    def encrypt(self, to: str = "15550100002.0") -> None:
        self.run(
            "INSERT INTO whatsmeow_sessions (our_jid, their_id, session) VALUES (?, ?, ?)"
            " ON CONFLICT (our_jid, their_id) DO UPDATE SET session = excluded.session",
            DEVICE, to, b"session",
        )  # fmt: skip

    def encrypt_for_group(self, group: str = "1@g.us") -> None:
        self.run(
            "INSERT INTO whatsmeow_sender_keys (our_jid, chat_id, sender_id, sender_key) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (our_jid, chat_id, sender_id) DO UPDATE SET sender_key = excluded.sender_key",
            DEVICE, group, DEVICE, b"key",
        )  # fmt: skip

    def name_contact(self, jid: str, full_name: str) -> None:
        self.run(
            "INSERT INTO whatsmeow_contacts (our_jid, their_jid, first_name, full_name) VALUES (?, ?, NULL, ?)"
            " ON CONFLICT (our_jid, their_jid) DO UPDATE SET full_name = excluded.full_name",
            DEVICE, jid, full_name,
        )  # fmt: skip

    def note_push_name(self, jid: str, name: str) -> None:
        self.run(
            "INSERT INTO whatsmeow_contacts (our_jid, their_jid, push_name) VALUES (?, ?, ?)"
            " ON CONFLICT (our_jid, their_jid) DO UPDATE SET push_name = excluded.push_name",
            DEVICE, jid, name,
        )  # fmt: skip

    def status_recipients(self) -> set[str]:
        """Those to whom the library sends a status: its query, and its condition."""
        rows = self.run("SELECT their_jid, full_name FROM whatsmeow_contacts WHERE our_jid = ?", DEVICE)
        return {jid for jid, full_name in rows if full_name}

    def contacts(self) -> list[tuple[str | None, ...]]:
        chosen = "SELECT their_jid, full_name, push_name FROM whatsmeow_contacts WHERE our_jid = ? ORDER BY 1"
        return self.run(chosen, DEVICE)


class FileLibrary(Library):
    """With tables as far as we need them."""

    def __init__(self, store: FileStore) -> None:
        self.store = store

    def run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.store.path)) as connection, connection:
            connection.execute("PRAGMA foreign_keys = ON")
            return connection.execute(statement, values).fetchall()

    def make_tables(self) -> None:
        self.store.prepare()
        with closing(sqlite3.connect(self.store.path)) as connection:
            connection.executescript(f"PRAGMA journal_mode = WAL; {_TABLES}")


class DatabaseLibrary(Library):
    """With the tables that it made itself."""

    def __init__(self, store: DatabaseStore) -> None:
        self.store = store

    def run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        parts = urlsplit(self.store.name)
        given = {name: value for name, value in parse_qsl(parts.query) if name != "binary_parameters"}
        with psycopg.connect(**given, row_factory=tuple_row) as connection:
            found = connection.execute(statement.replace("?", "%s").encode(), values)
            return found.fetchall() if found.description else []

    def make_tables(self) -> None:
        """They are there."""
