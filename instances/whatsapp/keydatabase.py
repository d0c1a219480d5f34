"""Makes a PostgreSQL database ready to hold stores, and says what is against it."""

from __future__ import annotations

import os
import subprocess
import sys

import psycopg
from django.conf import settings

from instances.whatsapp.databasestore import KeyDatabase
from instances.whatsapp.store import StoreFailed

_LIBRARY_SECONDS = 60.0
_LAYOUT = 1
_LOCK = 6_072_025  # whose number means nothing; one process at a time makes tables

# Our part of the database. A message's secret is stored before it is encrypted, so the two orders that
# docs/decisions/0003-settling-doubt.md compares come from one sequence.
_TABLES = """
CREATE SEQUENCE gateway_places;
CREATE TABLE gateway_devices (
    jid text PRIMARY KEY REFERENCES whatsmeow_device ON DELETE CASCADE ON UPDATE CASCADE,
    instance text NOT NULL
);
CREATE INDEX gateway_devices_of_instance ON gateway_devices (instance);
CREATE FUNCTION gateway_jids(of_instance text) RETURNS SETOF text LANGUAGE sql STABLE
    AS 'SELECT jid FROM gateway_devices WHERE instance = of_instance';
CREATE TABLE gateway_signals (
    our_jid text PRIMARY KEY REFERENCES whatsmeow_device ON DELETE CASCADE ON UPDATE CASCADE,
    place bigint NOT NULL
);
CREATE TABLE gateway_contacts (
    our_jid text REFERENCES whatsmeow_device ON DELETE CASCADE ON UPDATE CASCADE,
    their_jid text, full_name text, known boolean NOT NULL,
    PRIMARY KEY (our_jid, their_jid)
);
ALTER TABLE whatsmeow_message_secrets ADD COLUMN gateway_place bigint NOT NULL DEFAULT nextval('gateway_places');
CREATE INDEX gateway_secrets_in_order ON whatsmeow_message_secrets (our_jid, gateway_place);

-- WhatsApp gives a device's number anew when its link is gone; the library would keep the keys of the old link.
CREATE FUNCTION gateway_replace_device() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM whatsmeow_device WHERE jid = NEW.jid AND noise_key <> NEW.noise_key;
    RETURN NEW;
END $$;
CREATE TRIGGER gateway_replace_device BEFORE INSERT ON whatsmeow_device
    FOR EACH ROW EXECUTE FUNCTION gateway_replace_device();

-- A pooler may add an address to the name, after a space.
CREATE FUNCTION gateway_note_device() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO gateway_devices (jid, instance)
        VALUES (NEW.jid, split_part(current_setting('application_name'), ' ', 1));
    RETURN NULL;
END $$;
CREATE TRIGGER gateway_note_device AFTER INSERT ON whatsmeow_device
    FOR EACH ROW EXECUTE FUNCTION gateway_note_device();

-- The only rows of a device that the library leaves behind.
CREATE FUNCTION gateway_forget_device() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM whatsmeow_privacy_tokens WHERE our_jid = OLD.jid;
    RETURN NULL;
END $$;
CREATE TRIGGER gateway_forget_device AFTER DELETE ON whatsmeow_device
    FOR EACH ROW EXECUTE FUNCTION gateway_forget_device();

-- In the rows themselves: one row for each device would be written by two transactions in either order.
ALTER TABLE whatsmeow_sessions ADD COLUMN gateway_place bigint NOT NULL DEFAULT nextval('gateway_places');
ALTER TABLE whatsmeow_sender_keys ADD COLUMN gateway_place bigint NOT NULL DEFAULT nextval('gateway_places');
CREATE FUNCTION gateway_note_signal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.gateway_place := nextval('gateway_places');
    RETURN NEW;
END $$;
CREATE TRIGGER gateway_note_signal BEFORE UPDATE ON whatsmeow_sessions
    FOR EACH ROW EXECUTE FUNCTION gateway_note_signal();
CREATE TRIGGER gateway_note_signal BEFORE UPDATE ON whatsmeow_sender_keys
    FOR EACH ROW EXECUTE FUNCTION gateway_note_signal();

-- The place of what is deleted stays. A device that goes takes it along.
CREATE FUNCTION gateway_keep_signal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO gateway_signals (our_jid, place)
        SELECT OLD.our_jid, OLD.gateway_place FROM whatsmeow_device WHERE jid = OLD.our_jid
        ON CONFLICT (our_jid) DO UPDATE SET place = greatest(gateway_signals.place, excluded.place);
    RETURN NULL;
END $$;
CREATE TRIGGER gateway_keep_signal AFTER DELETE ON whatsmeow_sessions
    FOR EACH ROW EXECUTE FUNCTION gateway_keep_signal();
CREATE TRIGGER gateway_keep_signal AFTER DELETE ON whatsmeow_sender_keys
    FOR EACH ROW EXECUTE FUNCTION gateway_keep_signal();

CREATE FUNCTION gateway_signal(of_device text) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT greatest(
        (SELECT max(gateway_place) FROM whatsmeow_sessions WHERE our_jid = of_device),
        (SELECT max(gateway_place) FROM whatsmeow_sender_keys WHERE our_jid = of_device),
        (SELECT place FROM gateway_signals WHERE our_jid = of_device),
        0
    )
$$;

CREATE TABLE gateway_key_store (network text NOT NULL, layout integer NOT NULL);
"""


class KeyStoreUnusable(Exception):
    """Keys cannot be kept there; the text is a sentence for the operator, without password."""


def check(database: KeyDatabase, variable: str, network: str) -> bool:
    """Whether our tables are there. ``variable`` names the setting in the sentence. Raises KeyStoreUnusable."""
    try:
        with database.transaction() as connection:
            found = connection.execute(
                "SELECT current_setting('application_name') AS name,"
                " current_setting('server_version_num')::int AS version,"
                " to_regclass('django_migrations') IS NOT NULL AS ours,"
                " to_regclass('gateway_key_store') IS NOT NULL AS made"
            ).fetchone()
            assert found is not None
            kept = connection.execute("SELECT * FROM gateway_key_store").fetchone() if found["made"] else None
    except StoreFailed as error:
        raise KeyStoreUnusable(f"{variable} cannot be used: {error}") from error
    if not found["name"]:
        raise KeyStoreUnusable(f"{variable} leads through a pooler that does not pass application_name on.")
    if found["version"] < 140_000:
        raise KeyStoreUnusable(f"{variable} names a PostgreSQL older than 14.")
    if found["ours"] and not settings.KEY_STORE_SHARED:
        raise KeyStoreUnusable(
            f"{variable} names the database of the application. Keys belong into one of their own; "
            "KEY_STORE_SHARED=true allows it all the same."
        )
    if kept and kept["network"] != network:
        raise KeyStoreUnusable(
            f"{variable} names the database that has the keys of the network {kept['network']}. "
            f"Those of {network} need another one: numbers of both networks may be the same."
        )
    if kept and kept["layout"] != _LAYOUT:
        raise KeyStoreUnusable(f"{variable} names a database that a newer version of this program has changed.")
    return kept is not None


def prepare(database: KeyDatabase, variable: str, network: str) -> None:
    """Have the library make or upgrade its tables, and make ours; idempotent, and safe beside others that do it.

    Raises KeyStoreUnusable.
    """
    check(database, variable, network)
    try:
        with database.transaction() as connection:
            connection.execute("SET LOCAL statement_timeout = 0")
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            upgrade(database.name("whatsapp-api"))
            if not check(database, variable, network):
                connection.execute(_TABLES)
                connection.execute("INSERT INTO gateway_key_store VALUES (%s, %s)", [network, _LAYOUT])
    except (StoreFailed, psycopg.Error) as error:
        raise KeyStoreUnusable(f"{variable} cannot be used: {error}") from error


def upgrade(name: str) -> None:
    """Have the library bring the tables of a store up to date, in a process of its own. Raises StoreFailed."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "instances.whatsapp.keytables"],
            check=False,
            cwd=settings.BASE_DIR,
            env=os.environ | {"NEONIZE_BOT_TAG": "off"},
            input=name,
            capture_output=True,
            text=True,
            timeout=_LIBRARY_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise StoreFailed("The library did not answer.") from error
    if done.returncode or done.stdout:
        raise StoreFailed(done.stdout.strip() or (done.stderr.strip().splitlines() or ["no words"])[-1])
