from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import psutil
import pytest
from pytest_django import Settings

from config.ids import new_id
from instances.tests.library_store import DEVICE, FileLibrary, Library
from instances.whatsapp.filestore import FileStore
from instances.whatsapp.store import Store, StoreFailed, Trace

SECRET, OTHER = b"1" * 32, b"2" * 32


@pytest.fixture
def file(tmp_path: Path, settings: Settings) -> FileStore:
    settings.SESSION_STORE_DIR = tmp_path / "sessions"
    return FileStore(new_id("ins"))


def test_a_number_without_a_link_holds_nothing(store: Store) -> None:
    assert not store.has_device(DEVICE)
    assert store.device() is None
    assert store.trace(SECRET)[:2] == (Trace.POSSIBLE, None)


def test_to_ask_makes_no_file(file: FileStore) -> None:
    assert file.device() is None
    assert not file.path.exists()


def test_a_file_without_tables_holds_no_device(file: FileStore) -> None:
    file.prepare()
    file.path.touch()
    assert not file.has_device(DEVICE)


def test_the_device_of_a_link_is_found(store: Store, library: Library) -> None:
    assert store.has_device(DEVICE)
    assert not store.has_device("15550100001:4@s.whatsapp.net")
    assert store.device() == (DEVICE, "777:3@lid")


def test_tables_without_a_link_hold_no_device(file: FileStore) -> None:
    FileLibrary(file).make_tables()
    assert file.device() is None
    assert not file.has_device(DEVICE)


def test_the_folder_is_for_its_owner_alone(file: FileStore) -> None:
    file.prepare()
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700


def test_erasing_can_be_done_twice(store: Store, library: Library) -> None:
    store.erase()
    store.erase()
    assert store.device() is None


def test_erasing_leaves_no_file(file: FileStore) -> None:
    FileLibrary(file).make_tables()
    file.erase()
    assert list(file.path.parent.iterdir()) == []


def test_a_message_whose_secret_is_not_there_did_not_leave(store: Store, library: Library) -> None:
    library.store_secret("A", OTHER)
    library.encrypt()
    assert store.trace(SECRET)[:2] == (Trace.ABSENT, None)


def test_a_message_that_was_not_encrypted_did_not_leave(store: Store, library: Library) -> None:
    library.encrypt()
    library.store_secret("A", SECRET)
    assert store.trace(SECRET)[:2] == (Trace.NOT_ENCRYPTED, "A")


def test_the_first_message_of_a_link_that_was_not_encrypted_did_not_leave(store: Store, library: Library) -> None:
    library.store_secret("A", SECRET)
    assert store.trace(SECRET)[:2] == (Trace.NOT_ENCRYPTED, "A")


@pytest.mark.parametrize("again", [False, True])
def test_a_message_that_was_encrypted_may_have_left(store: Store, library: Library, again: bool) -> None:
    if again:
        library.encrypt()
    library.store_secret("A", SECRET)
    library.encrypt()
    assert store.trace(SECRET)[:2] == (Trace.POSSIBLE, "A")


@pytest.mark.parametrize("again", [False, True])
def test_a_group_message_that_was_encrypted_may_have_left(store: Store, library: Library, again: bool) -> None:
    if again:
        library.encrypt_for_group()
    library.store_secret("A", SECRET)
    library.encrypt_for_group()
    assert store.trace(SECRET)[:2] == (Trace.POSSIBLE, "A")


def test_a_message_before_the_last_one_may_have_left(store: Store, library: Library) -> None:
    library.store_secret("A", SECRET)
    library.encrypt()
    library.store_secret("B", OTHER)
    assert store.trace(SECRET)[:2] == (Trace.POSSIBLE, "A")
    assert store.trace(OTHER)[:2] == (Trace.NOT_ENCRYPTED, "B")


def test_a_message_received_in_between_makes_a_doubt_and_never_a_certainty(store: Store, library: Library) -> None:
    library.store_secret("A", SECRET)
    library.encrypt(to="somebody else")  # decrypting writes the same table
    library.store_secret("inbound", OTHER)
    assert store.trace(SECRET)[:2] == (Trace.POSSIBLE, "A")


def test_a_second_attempt_is_told_apart_from_the_first(store: Store, library: Library) -> None:
    library.store_secret("A", SECRET)
    library.encrypt()
    store.forget_secret(SECRET)
    assert store.trace(SECRET)[:2] == (Trace.ABSENT, None)
    library.store_secret("B", SECRET)
    assert store.trace(SECRET)[:2] == (Trace.NOT_ENCRYPTED, "B")


def test_watching_twice_changes_nothing(store: Store, library: Library) -> None:
    library.store_secret("A", SECRET)
    store.watch_order()
    assert store.trace(SECRET)[:2] == (Trace.NOT_ENCRYPTED, "A")
    library.encrypt()
    store.watch_order()
    assert store.trace(SECRET)[:2] == (Trace.POSSIBLE, "A")


def test_what_was_begun_for_a_channel_may_have_left_as_nothing_is_encrypted_for_it(
    store: Store, library: Library
) -> None:
    library.store_secret("3EB0", SECRET, "120363000000000002@newsletter")
    assert store.trace(SECRET)[:2] == (Trace.POSSIBLE, "3EB0")
    library.store_secret("3EB1", OTHER, "15550100002@s.whatsapp.net")
    assert store.trace(OTHER)[:2] == (Trace.NOT_ENCRYPTED, "3EB1")


def _beside() -> list[int]:
    """The processes that open stores for this one."""
    return [child.pid for child in psutil.Process().children() if "instances.whatsapp.storefile" in child.cmdline()]


def test_the_process_that_opens_stores_is_begun_anew_when_it_was_killed(file: FileStore) -> None:
    library = FileLibrary(file)
    library.make_tables()
    library.link()
    assert file.has_device(DEVICE)
    (pid,) = _beside()
    os.kill(pid, signal.SIGKILL)
    assert file.has_device(DEVICE)
    assert _beside() != [pid]


def test_a_store_that_cannot_be_read_is_not_taken_for_one_without_a_link(file: FileStore) -> None:
    file.prepare()
    file.path.write_bytes(b"this is no database" * 100)
    with pytest.raises(StoreFailed, match="not a database"):
        file.device()


def test_a_session_that_is_gone_was_used_all_the_same(store: Store, library: Library) -> None:
    library.store_secret("A", SECRET)
    library.encrypt()
    library.run("DELETE FROM whatsmeow_sessions")
    assert store.trace(SECRET)[:2] == (Trace.POSSIBLE, "A")


def test_a_message_before_a_forgotten_one_is_not_taken_for_it(store: Store, library: Library) -> None:
    library.store_secret("A", SECRET)
    library.encrypt()
    library.store_secret("B", OTHER)
    store.forget_secret(OTHER)
    assert store.trace(SECRET)[:2] == (Trace.POSSIBLE, "A")
