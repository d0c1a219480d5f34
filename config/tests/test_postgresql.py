from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from psycopg_pool import ConnectionPool

from config.postgresql.base import DatabaseWrapper
from conftest import wait_for

pytestmark = [pytest.mark.only_with("postgres"), pytest.mark.usefixtures("db")]
MANY = 6


@pytest.fixture
def pooled() -> Iterator[DatabaseWrapper]:
    """Another connection to the test database, whose pool has many open ones."""
    wrapper = connection.copy(alias="pooled")
    assert isinstance(wrapper, DatabaseWrapper)
    wrapper.pool.open()
    taken = [wrapper.pool.getconn() for _ in range(MANY)]
    for one in taken:
        wrapper.pool.putconn(one)
    try:
        yield wrapper
    finally:
        wrapper.close()
        wrapper.close_pool()


def break_all(pool: ConnectionPool) -> None:
    """As a restart of the server does."""
    idle = [pool.getconn() for _ in range(MANY)]
    pids = [one.info.backend_pid for one in idle]
    for one in idle:
        pool.putconn(one)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s) AS pid", [pids])

        def gone() -> bool:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)", [pids])
            return cursor.fetchone() == (0,)

        wait_for(gone)


def test_the_first_request_after_a_restart_of_the_server_gets_a_connection(pooled: DatabaseWrapper) -> None:
    break_all(pooled.pool)
    with pooled.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)
    stats = pooled.pool.get_stats()
    assert stats.get("requests_errors", 0) == 0
    assert stats["connections_lost"] + stats["returns_bad"] == MANY  # no other request meets one of them


def test_a_pool_that_was_not_hurt_keeps_its_connections(pooled: DatabaseWrapper) -> None:
    opened = pooled.pool.get_stats()["connections_num"]
    with pooled.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert pooled.pool.get_stats()["connections_num"] == opened
