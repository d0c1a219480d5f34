from __future__ import annotations

from django.conf import settings
from django.db import connection


def bounded() -> None:
    """Have PostgreSQL end the present transaction if this process stops in the middle of it.

    A stopped process (SIGSTOP, a frozen machine) would otherwise keep its locks, and hold up those who take over.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            statement = "SELECT set_config('idle_in_transaction_session_timeout', %s, true)"
            cursor.execute(statement, [f"{settings.LEASE_SECONDS}s"])
