from __future__ import annotations

from django.conf import settings
from django.db import connection


def bounded(lock_seconds: float | None = None) -> None:
    """Have PostgreSQL end the present transaction if this process stops in the middle of it.

    With ``lock_seconds`` a statement that waits longer than that for a lock raises OperationalError.

    A stopped process (SIGSTOP, a frozen machine) would otherwise keep its locks, and hold up those who take over.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            statement = "SELECT set_config('idle_in_transaction_session_timeout', %s, true)"
            cursor.execute(statement, [f"{settings.LEASE_SECONDS}s"])
            if lock_seconds is not None:
                cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{int(lock_seconds * 1000)}ms"])
