"""The embedded servers for real, in folders of their own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator

import psycopg
import pytest
import redis

from stack.paths import Paths
from stack.program import unprivileged_identity
from stack.services import Postgres, ServiceError, Valkey, running, stop


@contextlib.contextmanager
def client(valkey: Valkey) -> Iterator[redis.Redis]:
    with contextlib.closing(redis.Redis.from_url(valkey.url)) as connection:
        yield connection


def test_a_killed_valkey_comes_back_with_its_keys(paths: Paths):
    valkey = Valkey(paths)
    program = valkey.program()
    first = program.start(stdout=subprocess.DEVNULL)
    try:
        wait_until_ready(valkey)
        with client(valkey) as connection:
            connection.mset({f"key{number}": number for number in range(1000)})
            connection.config_set("appendfsync", "always")
            connection.set("last", "one")
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        assert not valkey.is_ready()
        with running(valkey, paths.log / "valkey.log"), client(valkey) as connection:
            assert connection.dbsize() == 1001
            assert connection.get("key999") == b"999"
    finally:
        first.kill()
        first.wait()


def test_valkey_never_drops_keys_for_memory_and_lets_only_its_user_in(paths: Paths):
    valkey = Valkey(paths)
    with running(valkey, paths.log / "valkey.log"), client(valkey) as connection:
        assert connection.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert valkey.socket.stat().st_mode & 0o777 == 0o700
    assert not valkey.socket.exists()


def test_postgres_runs_unprivileged_and_keeps_its_data_over_a_kill(paths: Paths):
    postgres = Postgres(paths)
    program = postgres.program()
    with (paths.log / "postgres.log").open("ab") as output:
        process = program.start(stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_until_ready(postgres)
        with connected(paths) as connection:
            connection.execute("CREATE TABLE kept (n int)")
            connection.execute("INSERT INTO kept VALUES (1)")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    finally:
        process.kill()
        process.wait()
    with running(postgres, paths.log / "postgres.log"), connected(paths) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(1,)]
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)


def test_a_postgres_that_cannot_start_says_why(paths: Paths):
    postgres = Postgres(paths, durable=False)
    postgres.program()
    (paths.postgres / "PG_VERSION").write_text("1\n")
    with pytest.raises(ServiceError, match="postgres did not start: "), running(postgres, paths.log / "postgres.log"):
        pass


def test_a_command_that_works_for_nobody_is_told():
    if os.geteuid() != 0:
        assert unprivileged_identity(["false"]).user is None
        return
    with pytest.raises(RuntimeError, match="DATABASE_URL"):
        unprivileged_identity(["false"])


def test_what_ignores_its_stop_signal_is_killed(paths: Paths):
    from stack.program import Program

    program = Program(name="stubborn", argv=["sh", "-c", "trap '' TERM; echo up; sleep 60"], stop_seconds=0.1)
    process = program.start(stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == b"up\n"
        stop(process, program)
    assert process.returncode == -signal.SIGKILL


def wait_until_ready(service: Valkey | Postgres) -> None:
    deadline = time.monotonic() + 20
    while not service.is_ready():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextlib.contextmanager
def connected(paths: Paths) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    folder = str(paths.sockets / "postgres")
    with psycopg.connect(host=folder, user="postgres", dbname="postgres", autocommit=True) as connection:
        yield connection
