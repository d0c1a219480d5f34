from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import psycopg
import pytest
from django.conf import settings
from django.utils import timezone
from psycopg import sql
from psycopg.conninfo import make_conninfo
from pytest_django import Settings

from config.ids import new_id
from instances.holding import handlers, lease, writer
from instances.holding.writer import Writer
from instances.models import Instance, Network, Worker
from instances.tests.library_store import DatabaseLibrary, FileLibrary, Library
from instances.whatsapp import keydatabase
from instances.whatsapp.databasestore import DatabaseStore, KeyDatabase
from instances.whatsapp.filestore import FileStore
from instances.whatsapp.store import Store


@pytest.fixture
def make_worker(db: None) -> Callable[..., Worker]:
    """Makes the row of a live session worker on another machine."""

    def make(**columns: Any) -> Worker:
        defaults = {
            "name": "session@elsewhere",
            "network": Network.SANDBOX,
            "queue": "session.session@elsewhere",
            "machine": "elsewhere",
            "pid": 1,
            "capacity": 100,
        }
        return Worker.objects.create(**(defaults | columns))

    return make


@pytest.fixture(scope="session")
def key_database() -> Iterator[KeyDatabase]:
    """One of the sandbox's, made ready by the library itself."""
    server = settings.DATABASES["default"]
    if "postgresql" not in server["ENGINE"]:
        pytest.skip("needs PostgreSQL: --stack=postgres")
    given = {"host": server["HOST"], "port": server["PORT"], "user": server["USER"], "password": server["PASSWORD"]}
    name = f"keys_{secrets.token_hex(6)}"
    with closing(psycopg.connect(make_conninfo(**{k: v for k, v in given.items() if v}, dbname="postgres"))) as admin:
        admin.autocommit = True
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        query = urlencode({key: value for key, value in (given | {"dbname": name}).items() if value})
        database = KeyDatabase(f"postgres:///?{query}")
        try:
            keydatabase.prepare(database, "SANDBOX_KEY_STORE_URL", "sandbox")
            yield database
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(params=["file", pytest.param("postgres", marks=pytest.mark.only_with("postgres"))])
def store(request: pytest.FixtureRequest, tmp_path: Path, settings: Settings) -> Iterator[Store]:
    """That of an instance that is not linked, of each kind."""
    settings.SESSION_STORE_DIR = tmp_path / "sessions"
    if request.param == "file":
        yield FileStore(new_id("ins"))
        return
    database: KeyDatabase = request.getfixturevalue("key_database")
    yield DatabaseStore(new_id("ins"), database)
    with database.transaction() as connection:
        connection.execute("DELETE FROM whatsmeow_device")


@pytest.fixture
def library(store: Store) -> Library:
    """The library, which has linked a device."""
    found = FileLibrary(store) if isinstance(store, FileStore) else DatabaseLibrary(cast("DatabaseStore", store))
    found.make_tables()
    found.link()
    store.watch_order()
    return found


@pytest.fixture
def worker(make_worker: Callable[..., Worker]) -> Worker:
    return make_worker()


@pytest.fixture
def held(committed: None, instance: Instance, worker: Worker) -> Instance:
    """Alice's instance, held by the worker in epoch 1."""
    Instance.objects.filter(pk=instance.pk).update(holder=worker, epoch=1, lease_until=lease._lease_end())
    return Instance.objects.get(pk=instance.pk)


@pytest.fixture
def running_writer(held: Instance, worker: Worker) -> Iterator[Writer]:
    """A writer of the worker that holds Alice's instance."""
    before = dict(writer.handlers)
    writer.handlers.update(handlers.HANDLERS)
    running = Writer(worker.id)
    yield running
    running.close()
    writer.handlers.clear()
    writer.handlers.update(before)


@pytest.fixture
def showing(alice: Any, make_instance: Callable[..., Instance]) -> Instance:
    """Alice's instance that shows a QR code."""
    return make_instance(
        alice,
        state="linking",
        reason="waiting_for_scan",
        phone=None,
        device_jid=None,
        qr_code="2@abc,def,ghi",
        qr_expires_at=timezone.now() + timezone.timedelta(seconds=20),
    )
