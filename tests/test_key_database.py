"""Keys in PostgreSQL, through PgBouncer where there is one, and moved from one store to the other."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
import pytest

from stack.paths import PROJECT, Paths
from stack.services import Postgres, running
from stack.testing import RunningStack
from tests import pooler
from tests.product import Api, wait_for

# Of its own, as it is ended and restarted, whatever the other tests run on.
pytestmark = [pytest.mark.end_to_end, pytest.mark.only_with("postgres")]
SESSIONS = "sessions-sandbox-1"
_NO_POOLER = "there is no pgbouncer on PATH (Debian: apt install pgbouncer); the rest runs against PostgreSQL directly"


@pytest.fixture(scope="module")
def keys() -> Iterator[tuple[str, pooler.Pooler | None]]:
    """The address of an empty key database, and its pooler."""
    with ExitStack() as until_end:
        var = Path(until_end.enter_context(tempfile.TemporaryDirectory(prefix="whatsapp-api-keys-")))
        paths = Paths.of({"VAR_DIR": str(var)})
        until_end.callback(paths.forget_sockets)
        paths.create()
        postgres = Postgres(paths, durable=False)
        until_end.enter_context(running(postgres, paths.log / "postgres.log"))
        socket = paths.sockets / "postgres"
        with closing(psycopg.connect(f"postgres://postgres@/postgres?host={socket}", autocommit=True)) as connection:
            connection.execute("CREATE DATABASE keys")
        if pooler.BINARY is None:
            yield f"postgres://postgres@/keys?host={socket}", None
        else:
            pool = until_end.enter_context(pooler.running(var, socket, "keys"))
            yield pool.url, pool


@pytest.fixture(scope="module")
def stack(keys: tuple[str, pooler.Pooler | None]) -> Iterator[RunningStack]:
    environ = {"SANDBOX_KEY_STORE_URL": keys[0]}
    if os.environ.get("DATABASE_URL", "").startswith("postgres"):
        environ["DATABASE_URL"] = "embedded"
    with RunningStack(environ) as stack:
        yield stack


def _files(stack: RunningStack) -> list[str]:
    return sorted(path.name for path in (stack.var / "sessions").glob("*.db"))


class Talk:
    """An instance and somebody who talks with it. Nobody may be unable to decrypt what the other sent."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.instance, self.number = api.linked()
        self.carla = api.phone("Carla")
        self.sent: list[str] = []
        self.written: list[str] = []

    def go_on(self, times: int = 2) -> None:
        """Each sends so many texts to the other, who reads them all once."""
        # One after the other: the library loses one of two that meet, whatever the store.
        for _ in range(times):
            self.sent.append(f"to Carla {len(self.sent)}")
            self.api.send(self.instance, self.carla, self.sent[-1])
        self.arrived()
        for _ in range(times):
            self.written.append(f"from Carla {len(self.written)}")
            self.api.write(self.carla, self.number, self.written[-1])
        self.arrived()

    def arrived(self) -> None:
        """Wait until all of it has."""
        wait_for(lambda: self._arrived() == sorted(self.sent), 30, lambda: f"{self.sent}: {self._arrived()}")
        wait_for(lambda: self._came() == sorted(self.written), 30, lambda: f"{self.written}: {self._came()}")

    def _arrived(self) -> list[str]:
        return sorted(one["text"] for one in self.api.received(self.carla))

    def _came(self) -> list[str]:
        found = self.api.messages(instance=self.instance, direction="inbound")
        return sorted(str((one.get("text") or {}).get("body")) for one in found)

    def wait_until_away(self) -> None:
        path = f"/instances/{self.instance}"
        wait_for(lambda: self.api.get(path)["reason"] == "key_store_unreachable", 20, lambda: self.api.get(path))

    def stop(self) -> None:
        self.api.post(f"/instances/{self.instance}/stop", expect=202)
        self.api.wait_for_state(self.instance, "stopped")

    def connect(self) -> None:
        self.api.connect(self.instance)
        self.api.wait_for_state(self.instance, "connected")


def _move(stack: RunningStack, to: str, instance: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", "move_keys", "--to", to, instance]
    return subprocess.run(command, cwd=PROJECT, env=stack.environ, capture_output=True, text=True, check=False)


def _move_when_free(stack: RunningStack, to: str, instance: str) -> None:
    def moved() -> bool:
        done = _move(stack, to, instance)
        assert done.returncode == 0 or "still holds it" in done.stderr, done.stderr
        return done.returncode == 0

    wait_for(moved, 30, "the worker to let go")


def test_keys_are_in_the_database_and_go_on_where_they_were_wherever_they_are(
    stack: RunningStack, acme: Api, keys: tuple[str, pooler.Pooler | None]
) -> None:
    talk = Talk(acme)
    talk.go_on()
    assert _files(stack) == []
    stack.wait_for_restart(SESSIONS, stack.kill(SESSIONS))
    talk.go_on()
    refused = _move(stack, "file", talk.instance)
    assert refused.returncode == 1
    assert "Stop it first" in refused.stderr
    for to, files in (("file", [f"{talk.instance}.db"]), ("postgres", [])):
        talk.stop()
        _move_when_free(stack, to, talk.instance)
        assert _files(stack) == files
        talk.connect()
        talk.go_on()
    with closing(psycopg.connect(keys[0], prepare_threshold=None)) as connection:
        mine = "SELECT count(*) FROM gateway_devices WHERE instance = %s"
        assert connection.execute(mine, [talk.instance]).fetchone() == (1,)
        acme.post(f"/instances/{talk.instance}/logout", expect=202)
        acme.wait_for_state(talk.instance, "logged_out")
        assert connection.execute(mine, [talk.instance]).fetchone() == (0,)


@pytest.mark.skipif(pooler.BINARY is None, reason=_NO_POOLER)
def test_numbers_leave_the_network_while_the_database_is_away(
    stack: RunningStack, acme: Api, keys: tuple[str, pooler.Pooler | None]
) -> None:
    pool = keys[1]
    assert pool is not None
    hears, says = Talk(acme), Talk(acme)
    hears.go_on()
    says.go_on()
    assert pool.servers() <= pooler.POOL
    pool.stop()
    try:
        for talk in (hears, says):
            talk.wait_until_away()
        says.sent.append("sent meanwhile")
        acme.send(says.instance, says.carla, says.sent[-1])
        hears.written.append("written meanwhile")
        acme.write(hears.carla, hears.number, hears.written[-1])
    finally:
        pool.start()
    for talk in (hears, says):
        acme.wait_for_state(talk.instance, "connected")
        talk.arrived()
        talk.go_on()
