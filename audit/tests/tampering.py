"""For tests only: a way around the triggers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from django.db import connection, transaction

TABLES = ("audit_entry", "audit_chain")


@contextlib.contextmanager
def triggers_off() -> Iterator[None]:
    """A transaction in which the audit log can be changed and emptied, as who owns the database could."""
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'audit_%'")
            triggers = cursor.fetchall()
            off = [f"DROP TRIGGER {name}" for name, _ in triggers]
            on = [sql for _, sql in triggers]
        else:
            off = [f"ALTER TABLE {table} DISABLE TRIGGER USER" for table in TABLES]
            on = [f"ALTER TABLE {table} ENABLE TRIGGER USER" for table in TABLES]
        for statement in off:
            cursor.execute(statement)
        yield
        for statement in on:
            cursor.execute(statement)
