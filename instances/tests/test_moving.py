"""Moving the keys of stopped instances from one store to the other."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import Settings

from audit.models import Entry
from conftest import Person
from instances import keystores, moving
from instances.models import Instance, Worker
from instances.tests.library_store import DEVICE, DatabaseLibrary, FileLibrary
from instances.whatsapp import copying
from instances.whatsapp.databasestore import DatabaseStore, KeyDatabase
from instances.whatsapp.filestore import FileStore
from instances.whatsapp.keydatabase import upgrade
from instances.whatsapp.store import Store, StoreFailed, Trace

MakeInstance = Callable[..., Instance]
SECRETS = [bytes([number]) * 32 for number in range(1, 4)]
STOPPED = {"wanted": "stopped", "state": "stopped", "device_jid": DEVICE}


@pytest.fixture
def stopped(alice: Person, make_instance: MakeInstance, settings: Settings, tmp_path: Path) -> Instance:
    settings.SESSION_STORE_DIR = tmp_path / "sessions"
    return make_instance(alice, **STOPPED)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"wanted": "connected"}, "Stop it first"),
        ({"wanted": "logged_out"}, "being removed"),
        ({"deleted_at": timezone.now()}, "being removed"),
        ({"device_jid": None}, "no keys"),
    ],
)
def test_what_cannot_be_moved_is_refused_with_a_reason(
    stopped: Instance, columns: dict[str, Any], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Instance.objects.filter(pk=stopped.pk).update(**columns)
    with pytest.raises(CommandError, match="1 of 1 were not moved"):
        call_command("move_keys", stopped.pk, to="file")
    assert words in capsys.readouterr().err


@pytest.mark.django_db
def test_what_a_worker_holds_is_not_moved(stopped: Instance, make_worker: Callable[..., Worker]) -> None:
    lease = {"holder": make_worker(), "lease_until": timezone.now() + timedelta(seconds=10)}
    Instance.objects.filter(pk=stopped.pk).update(**lease)
    with pytest.raises(moving.NotMovable, match="still holds it"):
        moving.move(instance_id=stopped.pk, to="file")


@pytest.mark.django_db
def test_there_must_be_somewhere_to_move_to(stopped: Instance) -> None:
    with pytest.raises(CommandError, match="Set SANDBOX_KEY_STORE_URL first"):
        call_command("move_keys", to="postgres", all=True)
    with pytest.raises(CommandError, match="Name instances"):
        call_command("move_keys", to="postgres")


# --- with a key database --------------------------------------------------------------------


@pytest.fixture
def stores(
    stopped: Instance, key_database: KeyDatabase, settings: Settings
) -> Iterator[tuple[FileStore, DatabaseStore]]:
    """The instance's link is in a file; nothing of it is in the database."""
    settings.KEY_STORE_URLS = {"sandbox": key_database.url, "whatsapp": ""}
    file, rows = keystores.store_in("file", stopped), keystores.store_in("postgres", stopped)
    assert isinstance(file, FileStore)
    assert isinstance(rows, DatabaseStore)
    file.prepare()
    upgrade(file.name)
    library = FileLibrary(file)
    library.link()
    file.watch_order()
    library.run("INSERT INTO whatsmeow_pre_keys (jid, key_id, key, uploaded) VALUES (?, 1, ?, 1)", DEVICE, b"k" * 32)
    library.run("INSERT INTO whatsmeow_lid_map (lid, pn) VALUES ('888', '15550100002')")
    library.name_contact("15550100002@s.whatsapp.net", "Ben")
    for number, secret in enumerate(SECRETS):
        library.store_secret(f"M{number}", secret)
        if secret != SECRETS[-1]:
            library.encrypt()
    yield file, rows
    with key_database.transaction() as connection:
        connection.execute("DELETE FROM whatsmeow_device")
        connection.execute("DELETE FROM whatsmeow_lid_map")


def _traces(store: Store) -> list[tuple[Trace, str | None]]:
    return [store.trace(secret)[:2] for secret in SECRETS]


def _in_order(store: Store) -> bool:
    places = [store.trace(secret).place for secret in SECRETS]
    return places == sorted(places)


BEGUN = [(Trace.POSSIBLE, "M0"), (Trace.POSSIBLE, "M1"), (Trace.NOT_ENCRYPTED, "M2")]


@pytest.mark.only_with("postgres")
@pytest.mark.django_db
@pytest.mark.parametrize("encrypted", [False, True])
def test_all_of_a_link_goes_there_and_back(
    stopped: Instance, stores: tuple[FileStore, DatabaseStore], encrypted: bool
) -> None:
    file, rows = stores
    if encrypted:
        FileLibrary(file).encrypt()
    last = (Trace.POSSIBLE if encrypted else Trace.NOT_ENCRYPTED, "M2")
    expected = [*BEGUN[:2], last]
    tables = {name: _content(FileLibrary(file), name) for name in _tables(file)}
    for to, here, there in (("postgres", rows, file), ("file", file, rows)):
        call_command("move_keys", to=to, all=True)
        stopped.refresh_from_db()
        assert (stopped.key_store, keystores.store_of(stopped).kind) == (to, to)
        assert (here.device(), there.device()) == ((DEVICE, "777:3@lid"), None)
        assert _traces(here) == expected
        assert _in_order(here)
        library = FileLibrary(file) if to == "file" else DatabaseLibrary(rows)
        assert {name: _content(library, name) for name in tables} == tables
    assert [row.changes for row in Entry.objects.filter(tag__endswith=":keys_moved").order_by("sequence")] == [
        {"key_store": ["file", "postgres"]},
        {"key_store": ["postgres", "file"]},
    ]


def _tables(file: FileStore) -> list[str]:
    found = FileLibrary(file).run("SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'whatsmeow_*'")
    return sorted(name for (name,) in found if name != "whatsmeow_version")


def _content(library: FileLibrary | DatabaseLibrary, table: str) -> list[tuple[Any, ...]]:
    columns = {
        "whatsmeow_device": "jid, lid, noise_key, adv_details, platform",
        "whatsmeow_pre_keys": "jid, key_id, key, uploaded",
        "whatsmeow_sessions": "our_jid, their_id, session",
        "whatsmeow_message_secrets": "our_jid, chat_jid, sender_jid, message_id, key",
    }
    rows = library.run(f"SELECT {columns.get(table, '*')} FROM {table}")  # noqa: S608
    return sorted([tuple(row) for row in rows], key=repr)


@pytest.mark.only_with("postgres")
@pytest.mark.django_db
def test_another_instance_is_not_touched(
    alice: Person, make_instance: MakeInstance, stopped: Instance, stores: tuple[FileStore, DatabaseStore]
) -> None:
    _, rows = stores
    other = keystores.store_in("postgres", make_instance(alice))
    assert isinstance(other, DatabaseStore)
    DatabaseLibrary(other).link("15550100009:1@s.whatsapp.net")
    moving.move(instance_id=stopped.pk, to="postgres")
    moving.move(instance_id=stopped.pk, to="file")
    assert other.has_device("15550100009:1@s.whatsapp.net")
    other.erase()
    moving.move(instance_id=stopped.pk, to="postgres")
    assert (rows.device(), other.device()) == ((DEVICE, "777:3@lid"), None)


@pytest.mark.only_with("postgres")
@pytest.mark.django_db
def test_the_newer_one_of_two_links_of_a_device_stays(
    alice: Person, make_instance: MakeInstance, stopped: Instance, stores: tuple[FileStore, DatabaseStore]
) -> None:
    file, rows = stores
    newer = keystores.store_in("postgres", make_instance(alice))
    assert isinstance(newer, DatabaseStore)
    DatabaseLibrary(newer).link(noise_key=b"1" * 32)
    with pytest.raises(StoreFailed, match="another link of this device"):
        moving.move(instance_id=stopped.pk, to="postgres")
    assert file.has_device(DEVICE)
    DatabaseLibrary(rows).link(noise_key=b"2" * 32)
    assert (rows.has_device(DEVICE), newer.has_device(DEVICE)) == (True, False)


class Killed(BaseException):
    """What a kill leaves is what an exception leaves that nobody catches: no transaction is committed any more."""


class DiesAtLine:
    """Ends the move before the n-th line of the order of its steps."""

    def __init__(self, line: int) -> None:
        self.left = line

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        if code.co_filename not in (moving.__file__, copying.__file__) or code.co_name not in (
            "move",
            "copy",
            "_forget",
        ):
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                raise Killed
        return self


def _die(instance: Instance, to: str, line: int) -> bool:
    """False when the move was over before."""
    before = sys.gettrace()
    sys.settrace(DiesAtLine(line))
    try:
        moving.move(instance_id=instance.pk, to=to)
    except Killed:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.only_with("postgres")
@pytest.mark.parametrize("to", ["postgres", "file"])
def test_a_move_that_was_killed_at_any_line_leaves_one_store_that_may_be_opened_and_can_be_run_again(
    committed: None, stopped: Instance, stores: tuple[FileStore, DatabaseStore], to: str
) -> None:
    copying._empty_file()
    if to == "file":
        moving.move(instance_id=stopped.pk, to="postgres")
    back = "postgres" if to == "file" else "file"
    line = 1
    while _die(stopped, to, line):
        line += 2
        stopped.refresh_from_db()
        assert keystores.store_of(stopped).device() == (DEVICE, "777:3@lid"), line
        assert _traces(keystores.store_of(stopped)) == BEGUN, line
        moving.move(instance_id=stopped.pk, to=to)
        stopped.refresh_from_db()
        assert _traces(keystores.store_of(stopped)) == BEGUN, line
        assert keystores.store_in(back, stopped).device() is None
        moving.move(instance_id=stopped.pk, to=back)
    assert line > 20
