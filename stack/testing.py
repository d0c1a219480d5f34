"""The whole product as a test starts, uses, hurts and stops it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from stack.logs import last_lines
from stack.paths import PROJECT

START_SECONDS, STOP_SECONDS = 120.0, 60.0
_COMPLAINT = re.compile(r"warn|error|critical|fatal|Traceback|panic", re.IGNORECASE)


class RunningStack:
    """``python -m stack up`` in a VAR_DIR of its own, with a Valkey of its own.

    `environ` is laid over this process's environment. If DATABASE_URL names a PostgreSQL, the product gets a fresh
    database there, dropped at the end; otherwise SQLite in its VAR_DIR. Use it as a context manager, or call
    ``start`` and ``stop``; after ``stop`` it may be started again and finds its data, until ``close``.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self.var = Path(tempfile.mkdtemp(prefix="whatsapp-api-stack-"))
        self._environ = dict(os.environ) | {"PORT": str(free_port())} | dict(environ or {})
        for name in ("REDIS_URL", "RUN_DIR", "PUBLIC_URL", "DJANGO_SETTINGS_MODULE", "SANDBOX_CONTROL"):
            if name not in (environ or {}):
                self._environ.pop(name, None)
        self._environ |= {"VAR_DIR": str(self.var), "STACK_PARENT": str(os.getpid())}
        self._database = ""
        self._server = self._environ.pop("DATABASE_URL", "")
        if self._server.startswith("postgres"):
            self._database = f"stack_{secrets.token_hex(6)}"
            self._environ["DATABASE_URL"] = self._server.rpartition("/")[0] + "/" + self._database
            self._administrate("CREATE DATABASE {}")
        elif self._server == "embedded":
            self._environ["DATABASE_URL"] = self._server
        self._popen: subprocess.Popen[bytes] | None = None
        self._facts: dict[str, Any] = {}

    # --- life -----------------------------------------------------------------------------

    def __enter__(self) -> RunningStack:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def start(self) -> None:
        """Start and wait until it is healthy. Call it from the main thread. Raises AssertionError with its output."""
        ready = self.var / "run" / "ready.json"
        ready.unlink(missing_ok=True)  # a killed supervisor leaves it
        with self._output.open("wb") as output:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", "stack", "up"],
                cwd=PROJECT,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        deadline = time.monotonic() + START_SECONDS
        while not ready.exists():
            if self._popen.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"The stack did not start:\n{self.output()}")
            time.sleep(0.05)
        self._facts = json.loads(ready.read_text())

    def stop(self) -> int:
        """SIGTERM, as a script would stop `make up`; returns the exit code. Does nothing when not running."""
        if self._popen is None:
            return 0
        popen, self._popen = self._popen, None
        popen.send_signal(signal.SIGTERM)
        try:
            return popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.wait()
            raise AssertionError(f"The stack did not stop:\n{self.output()}") from None

    def close(self) -> None:
        """Stop, and remove all its data."""
        try:
            self.stop()
        finally:
            if self._database:
                self._administrate("DROP DATABASE IF EXISTS {} WITH (FORCE)")
                self._database = ""
            shutil.rmtree(self.var, ignore_errors=True)

    # --- what it says of itself -------------------------------------------------------------

    @property
    def address(self) -> str:
        return str(self._facts["address"])

    @property
    def key(self) -> str:
        """A test key with all scopes."""
        return str(self._facts["key"])

    @property
    def operator(self) -> dict[str, str]:
        """``{"email", "password"}`` of an operator."""
        return dict(self._facts["operator"])

    @property
    def organization(self) -> dict[str, Any]:
        return dict(self._facts["organization"])

    @property
    def instance(self) -> str:
        """The instance the start has prepared for the first message."""
        return str(self._facts["instance"])

    @property
    def phones(self) -> list[str]:
        """The two virtual phones the start has prepared."""
        return list(self._facts["phones"])

    @property
    def pid(self) -> int:
        """The supervisor's process."""
        assert self._popen is not None, "not running"
        return self._popen.pid

    @property
    def environ(self) -> dict[str, str]:
        """For a ``manage.py`` beside it: the environment in which it finds the same database and Valkey."""
        from stack.paths import Paths
        from stack.services import Postgres, Valkey

        paths = Paths.of(self._environ)
        database = self._environ.get("DATABASE_URL") or f"sqlite:///{self.var / 'db.sqlite3'}"
        if database == "embedded":
            database = Postgres(paths).url()
        here = {"DATABASE_URL": database, "REDIS_URL": Valkey(paths).url, "RUN_DIR": str(paths.sockets)}
        return self._environ | here

    def processes(self) -> dict[str, dict[str, Any]]:
        """``{name: {"pid": int or None, "restarts": int, "started_at": epoch seconds}}``, as of now."""
        state: dict[str, dict[str, Any]] = json.loads((self.var / "run" / "processes.json").read_text())
        return state

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to a process; returns its pid. Raises AssertionError when it is not running."""
        pid = self.processes()[name]["pid"]
        assert pid is not None, f"{name} is not running"
        os.kill(pid, number)
        return int(pid)

    def wait_for_restart(self, name: str, old_pid: int, seconds: float = 30.0) -> int:
        """Wait until `name` runs as another process than `old_pid`; returns its pid."""
        deadline = time.monotonic() + seconds
        while (pid := self.processes()[name]["pid"]) in (None, old_pid):
            assert time.monotonic() < deadline, f"{name} was not restarted:\n{self.output()}"
            time.sleep(0.02)
        return int(pid)

    def logs(self, name: str, lines: int = 200) -> str:
        """The end of a process's log."""
        return "\n".join(last_lines(self.var / "log" / f"{name}.log", lines))

    def complaints(self, lines: int = 40) -> str:
        """What the processes logged lately that was not well, a paragraph for each that has something to say."""
        said = {
            path.stem: [line for line in last_lines(path, 1000) if _COMPLAINT.search(line)]
            for path in sorted((self.var / "log").glob("*.log"))
        }
        return "\n\n".join("\n".join([f"{name}:", *found[-lines:]]) for name, found in said.items() if found)

    def output(self) -> str:
        """What ``stack up`` itself printed."""
        return self._output.read_text(errors="replace")

    @property
    def _output(self) -> Path:
        return self.var / "up.log"

    def _administrate(self, statement: str) -> None:
        with _administration(self._server) as connection:
            connection.execute(sql.SQL(statement).format(sql.Identifier(self._database)))


def free_port() -> int:
    """A TCP port of the loopback address that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _administration(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection for CREATE DATABASE to the server of a DATABASE_URL, whose host may be a socket's folder."""
    parts = urlsplit(url)
    folder, _, database = parts.path.removeprefix("/").rpartition("/")
    options: dict[str, Any] = {"host": folder or parts.hostname, "port": parts.port, "user": parts.username}
    options |= {"password": parts.password, "dbname": database or "postgres"}
    given = {name: value for name, value in options.items() if value}
    with contextlib.closing(psycopg.connect(**given, autocommit=True)) as connection:
        yield connection
