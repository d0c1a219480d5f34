"""A PgBouncer of Debian's package, before a PostgreSQL of the tests; there is none on PyPI."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from stack.program import Program, unprivileged_identity
from stack.services import stop
from stack.testing import free_port

BINARY = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")
POOL = 4
_SETTINGS = """
[databases]
{database} = host={socket} dbname={database} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
admin_users = postgres
pool_mode = transaction
default_pool_size = {pool}
max_client_conn = 2000
query_wait_timeout = 10
server_login_retry = 1
"""


class Pooler:
    """In transaction mode, with a pool of `POOL`, on a port of loopback. Start it from the main thread."""

    def __init__(self, folder: Path, socket: Path, database: str) -> None:
        assert BINARY is not None
        self.database, self.port = database, free_port()
        self._settings = folder / "pgbouncer.ini"
        text = _SETTINGS.format(database=database, socket=socket, port=self.port, pool=POOL)
        self._settings.write_text(text)
        self._program = Program(
            name="pgbouncer",
            argv=[BINARY, "-q", str(self._settings)],
            identity=unprivileged_identity([BINARY, "--version"]),
        )
        self._log = folder / "pgbouncer.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/{self.database}"

    def start(self) -> None:
        with self._log.open("ab") as output:
            self._process = self._program.start(stdout=output, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 10
        while True:
            with contextlib.suppress(psycopg.OperationalError):
                self.show("VERSION")
                return
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process:
            process, self._process = self._process, None
            process.kill()
            stop(process, self._program)

    def show(self, what: str) -> list[dict[str, Any]]:
        """What its console knows of ``SERVERS``, ``CLIENTS`` …"""
        url = f"postgres://postgres@127.0.0.1:{self.port}/pgbouncer"
        with closing(psycopg.connect(url, autocommit=True, connect_timeout=5)) as console:
            cursor = psycopg.ClientCursor(console, row_factory=psycopg.rows.dict_row)
            return cursor.execute(f"SHOW {what}").fetchall()

    def servers(self) -> int:
        """Its connections to PostgreSQL."""
        return sum(one["database"] == self.database for one in self.show("SERVERS"))

    def clients(self) -> int:
        return sum(one["database"] == self.database for one in self.show("CLIENTS"))


@contextlib.contextmanager
def running(folder: Path, socket: Path, database: str) -> Iterator[Pooler]:
    pooler = Pooler(folder, socket, database)
    try:
        pooler.start()
        yield pooler
    finally:
        pooler.stop()
