"""The client library's tables, as it makes them, for tests of what we read and add there."""

from __future__ import annotations

import sqlite3
from contextlib import closing

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


class Library:
    """Writes what the client library would, in the statements it uses."""

    def __init__(self, store: FileStore) -> None:
        self.store = store

    def _run(self, statement: str, *values: object) -> None:
        with closing(sqlite3.connect(self.store.path)) as connection, connection:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute(statement, values)

    def make_tables(self) -> None:
        self.store.prepare()
        with closing(sqlite3.connect(self.store.path)) as connection:
            connection.executescript(f"PRAGMA journal_mode = WAL; {_TABLES}")

    def link(self, jid: str = DEVICE, lid: str | None = "777:3@lid") -> None:
        key, signature = b"k" * 32, b"s" * 64
        self._run(
            "INSERT INTO whatsmeow_device (jid, lid, registration_id, noise_key, identity_key, signed_pre_key,"
            " signed_pre_key_id, signed_pre_key_sig, adv_key, adv_details, adv_account_sig, adv_account_sig_key,"
            " adv_device_sig) VALUES (?, ?, 1, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?)",
            jid, lid, key, key, key, signature, key, b"", signature, key, signature,
        )  # fmt: skip

    def store_secret(self, message_id: str, secret: bytes, chat: str = "15550100002@s.whatsapp.net") -> None:
        self._run(
            "INSERT INTO whatsmeow_message_secrets (our_jid, chat_jid, sender_jid, message_id, key)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT (our_jid, chat_jid, sender_jid, message_id) DO NOTHING",
            DEVICE, chat, DEVICE, message_id, secret,
        )  # fmt: skip

    def encrypt(self, to: str = "15550100002.0") -> None:
        self._run(
            "INSERT INTO whatsmeow_sessions (our_jid, their_id, session) VALUES (?, ?, ?)"
            " ON CONFLICT (our_jid, their_id) DO UPDATE SET session = excluded.session",
            DEVICE, to, b"session",
        )  # fmt: skip

    def encrypt_for_group(self, group: str = "1@g.us") -> None:
        self._run(
            "INSERT INTO whatsmeow_sender_keys (our_jid, chat_id, sender_id, sender_key) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (our_jid, chat_id, sender_id) DO UPDATE SET sender_key = excluded.sender_key",
            DEVICE, group, DEVICE, b"key",
        )  # fmt: skip

    def name_contact(self, jid: str, full_name: str) -> None:
        self._run(
            "INSERT INTO whatsmeow_contacts (our_jid, their_jid, first_name, full_name) VALUES (?, ?, NULL, ?)"
            " ON CONFLICT (our_jid, their_jid) DO UPDATE SET full_name = excluded.full_name",
            DEVICE, jid, full_name,
        )  # fmt: skip

    def note_push_name(self, jid: str, name: str) -> None:
        self._run(
            "INSERT INTO whatsmeow_contacts (our_jid, their_jid, push_name) VALUES (?, ?, ?)"
            " ON CONFLICT (our_jid, their_jid) DO UPDATE SET push_name = excluded.push_name",
            DEVICE, jid, name,
        )  # fmt: skip

    def status_recipients(self) -> set[str]:
        """Those to whom the library sends a status: its query, and its condition."""
        with closing(sqlite3.connect(self.store.path)) as connection:
            rows = connection.execute("SELECT their_jid, full_name FROM whatsmeow_contacts WHERE our_jid = ?", [DEVICE])
            return {jid for jid, full_name in rows if full_name}

    def contacts(self) -> list[tuple[str | None, ...]]:
        with closing(sqlite3.connect(self.store.path)) as connection:
            found = connection.execute("SELECT their_jid, full_name, push_name FROM whatsmeow_contacts ORDER BY 1")
            return found.fetchall()
