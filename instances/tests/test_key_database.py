"""What is against a key database, and what happens when it is away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import settings as django_settings
from pytest_django import Settings

from config.ids import new_id
from instances import keystores
from instances.holding.keywatch import KeyWatch
from instances.holding.linking import is_of_keys
from instances.models import Instance
from instances.tests.library_store import DEVICE, DatabaseLibrary
from instances.whatsapp.databasestore import DatabaseStore, KeyDatabase
from instances.whatsapp.keydatabase import KeyStoreUnusable, check, prepare
from instances.whatsapp.store import StoreFailed

NOBODY = "postgres://app:s3cret@127.0.0.1:1/keys"
VARIABLE = "SANDBOX_KEY_STORE_URL"


def test_the_library_is_told_what_a_pooler_needs() -> None:
    name = KeyDatabase("postgres://app:p%26q@db.example.com:6432/keys?sslmode=verify-full").name("ins_1")
    assert {key: value[0] for key, value in parse_qs(urlsplit(name).query).items()} == {
        "user": "app", "password": "p&q", "host": "db.example.com", "port": "6432", "dbname": "keys",
        "sslmode": "verify-full", "binary_parameters": "yes", "application_name": "ins_1", "connect_timeout": "5",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("host", "mode"), [("127.0.0.1", "disable"), ("/run/postgresql", "disable"), ("db.example.com", "require")]
)
def test_beyond_this_machine_it_wants_tls_unless_told_otherwise(host: str, mode: str) -> None:
    assert f"sslmode={mode}" in KeyDatabase(f"postgres:///keys?host={host}").name("ins_1")


def test_a_database_that_is_away_is_said_so_without_its_password() -> None:
    with pytest.raises(KeyStoreUnusable, match=f"{VARIABLE} cannot be used: connection failed") as refused:
        check(KeyDatabase(NOBODY), VARIABLE, "sandbox")
    assert "s3cret" not in str(refused.value)


@pytest.mark.django_db
def test_a_store_in_a_database_that_is_not_set_any_more_is_away_and_not_empty(
    instance: Instance, settings: Settings
) -> None:
    settings.KEY_STORE_URLS = {"sandbox": "", "whatsapp": ""}
    instance.key_store = "postgres"
    with pytest.raises(StoreFailed, match="no address"):
        keystores.store_of(instance).device()


@pytest.mark.django_db
def test_new_links_go_where_the_setting_says_and_others_stay(instance: Instance, settings: Settings) -> None:
    settings.KEY_STORE_URLS = {"sandbox": NOBODY, "whatsapp": ""}
    assert keystores.store_of(instance).kind == "file"
    instance.device_jid = None
    assert keystores.store_of(instance).kind == "postgres"


@pytest.mark.parametrize("words", ["failed to upgrade database: dial tcp 10.0.0.1:6432: connect: connection refused"])
def test_the_librarys_trouble_with_its_store_is_not_taken_for_the_networks(words: str) -> None:
    assert is_of_keys(words)
    assert not is_of_keys("failed to dial whatsapp web websocket: connection refused")


# --- the watch ------------------------------------------------------------------------------


class Switched(KeyDatabase):
    """Answers or not, as it is told."""

    def __init__(self) -> None:
        super().__init__("postgres:///keys")
        self.there = True

    def connect(self) -> Any:
        if not self.there:
            raise StoreFailed("away")
        return self

    def execute(self, _: str) -> None:
        self.connect()

    def close(self) -> None:
        pass


class Number:
    def __init__(self) -> None:
        self.left = threading.Event()

    def leave_for_keys(self) -> None:
        self.left.set()


@pytest.fixture
def watch() -> Iterator[Callable[[KeyDatabase, Number], KeyWatch]]:
    started: list[KeyWatch] = []

    def start(database: KeyDatabase, number: Number) -> KeyWatch:
        started.append(KeyWatch())
        started[0].start(database, lambda: [number])
        return started[0]

    yield start
    for one in started:
        one.stop()


def test_numbers_leave_when_the_database_is_away_and_wait_until_it_is_back(
    watch: Callable[[KeyDatabase, Number], KeyWatch],
) -> None:
    database, number, stopping = Switched(), Number(), threading.Event()
    keys = watch(database, number)
    began = time.monotonic()
    keys.wait(stopping)
    assert time.monotonic() - began < 1, "it was there"
    database.there = False
    assert number.left.wait(20)
    waiting = threading.Thread(target=keys.wait, args=[stopping])
    waiting.start()
    assert waiting.is_alive()
    database.there = True
    waiting.join(20)
    assert not waiting.is_alive()


def test_a_number_that_is_stopped_does_not_wait_for_the_database(
    watch: Callable[[KeyDatabase, Number], KeyWatch],
) -> None:
    database, number, stopping = Switched(), Number(), threading.Event()
    database.there = False
    keys = watch(database, number)
    assert number.left.wait(20)
    stopping.set()
    keys.wait(stopping)


# --- with PostgreSQL ------------------------------------------------------------------------


@pytest.mark.only_with("postgres")
@pytest.mark.django_db
def test_the_applications_own_database_is_refused_unless_it_is_said(
    key_database: KeyDatabase, settings: Settings
) -> None:
    server = django_settings.DATABASES["default"]
    given = {"host": server["HOST"], "port": server["PORT"], "user": server["USER"], "password": server["PASSWORD"]}
    words = "&".join(f"{key}={value}" for key, value in given.items() if value)
    own = KeyDatabase(f"postgres:///{server['NAME']}?{words}")
    with pytest.raises(KeyStoreUnusable, match="the database of the application"):
        check(own, VARIABLE, "sandbox")
    settings.KEY_STORE_SHARED = True
    assert check(own, VARIABLE, "sandbox") is False


@pytest.mark.only_with("postgres")
def test_networks_have_key_databases_of_their_own_as_numbers_may_be_the_same(key_database: KeyDatabase) -> None:
    with pytest.raises(KeyStoreUnusable, match="has the keys of the network sandbox"):
        prepare(key_database, "KEY_STORE_URL", "whatsapp")
    prepare(key_database, VARIABLE, "sandbox")


@pytest.mark.only_with("postgres")
def test_a_device_belongs_to_the_instance_that_linked_it_and_goes_without_a_trace(key_database: KeyDatabase) -> None:
    mine, other = (DatabaseStore(new_id("ins"), key_database) for _ in range(2))
    library = DatabaseLibrary(mine)
    library.link()
    library.run("INSERT INTO whatsmeow_privacy_tokens VALUES (?, 'x', ?, 1, 1)", DEVICE, b"t")
    assert mine.has_device(DEVICE)
    assert not other.has_device(DEVICE)
    other.erase()
    library.link(lid="999:3@lid")  # as the library does when it learns something about itself
    assert mine.device() == (DEVICE, "999:3@lid")
    mine.erase()
    assert mine.device() is None
    for table in ("whatsmeow_privacy_tokens", "gateway_devices", "gateway_signals", "whatsmeow_device"):
        assert library.run(f"SELECT * FROM {table}") == []  # noqa: S608
