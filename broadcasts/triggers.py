"""A trigger copies the status of a broadcast's message to its recipient, whoever changes it.

So the counts of a hundred thousand recipients are read from one index, and no writer of statuses has to think of
broadcasts. The trigger is made again after all migrations and dropped before them: SQLite loses it when a migration
makes the table of messages anew, and refuses to rename a table that it names.
"""

from __future__ import annotations

from typing import Any

from django.db import connections

from broadcasts.models import Recipient
from messaging.models import Message
from messaging.states import Origin

_NAME = "broadcasts_follow"
_MESSAGES, _RECIPIENTS = Message._meta.db_table, Recipient._meta.db_table
_WHEN = f"NEW.origin = '{Origin.BROADCAST}' AND NEW.status <> OLD.status"
_FOLLOW = f"UPDATE {_RECIPIENTS} SET state = NEW.status WHERE message_id = NEW.id"  # noqa: S608 (names of ours)
_CREATE = {
    "sqlite": [
        f"CREATE TRIGGER IF NOT EXISTS {_NAME} AFTER UPDATE OF status ON {_MESSAGES} WHEN {_WHEN} BEGIN {_FOLLOW}; END"
    ],
    "postgresql": [
        f"CREATE OR REPLACE FUNCTION {_NAME}() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN {_FOLLOW}; RETURN NULL; END $$",
        f"CREATE OR REPLACE TRIGGER {_NAME} AFTER UPDATE OF status ON {_MESSAGES} "
        f"FOR EACH ROW WHEN ({_WHEN}) EXECUTE FUNCTION {_NAME}()",
    ],
}
_DROP = {"sqlite": [f"DROP TRIGGER IF EXISTS {_NAME}"], "postgresql": []}


def drop(using: str, **_: Any) -> None:
    """Receiver of ``pre_migrate``."""
    _run(using, _DROP)


def create(using: str, **_: Any) -> None:
    """Receiver of ``post_migrate``; does nothing while the tables, or the columns it names, are not there yet."""
    connection = connections[using]
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        if _MESSAGES not in tables or _RECIPIENTS not in tables:
            return
        columns = {column.name for column in connection.introspection.get_table_description(cursor, _MESSAGES)}
    if "origin" in columns:
        _run(using, _CREATE)


def _run(using: str, statements: dict[str, list[str]]) -> None:
    connection = connections[using]
    with connection.cursor() as cursor:
        for statement in statements[connection.vendor]:
            cursor.execute(statement)
