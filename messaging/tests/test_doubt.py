"""After a crash: what the client library's store tells of messages whose sending was begun."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_django import Settings

from instances.models import Instance
from instances.tests.library_store import FileLibrary, Library
from instances.whatsapp.filestore import FileStore
from instances.whatsapp.store import Trace
from messaging.models import Message
from messaging.sending.doubt import settle
from messaging.states import Status

pytestmark = pytest.mark.django_db


@pytest.fixture
def store(instance: Instance, tmp_path: Path, settings: Settings) -> FileStore:
    settings.SESSION_STORE_DIR = tmp_path
    return FileStore(instance.id)


@pytest.fixture
def library(store: FileStore) -> Library:
    found = FileLibrary(store)
    found.make_tables()
    found.link()
    store.watch_order()
    return found


@pytest.fixture
def begun(instance: Instance, make_message: Callable[..., Message]) -> list[Message]:
    """A batch of three whose sending the worker had begun."""
    return [make_message(instance, status=Status.SENDING) for _ in range(3)]


def send(library: Library, row: Message, wa_id: str, *, encrypted: bool = True) -> None:
    library.store_secret(wa_id, bytes(row.secret))
    if encrypted:
        library.encrypt()


def settled(store: FileStore, rows: list[Message]) -> list[tuple[str, str | None]]:
    outcomes = list(settle(store, rows))
    assert [outcome.message_id for outcome in outcomes] == [row.id for row in rows]
    return [(outcome.status, outcome.wa_id) for outcome in outcomes]


def test_what_was_never_begun_is_queued_again(store: FileStore, library: Library, begun: list[Message]) -> None:
    assert settled(store, begun) == [("queued", None)] * 3


def test_an_attempt_counts_only_for_what_may_have_been_begun(
    store: FileStore, library: Library, begun: list[Message]
) -> None:
    assert [outcome.attempted for outcome in settle(store, begun)] == [True, True, False]
    send(library, begun[0], "WA1", encrypted=False)
    assert [outcome.attempted for outcome in settle(store, begun)] == [True, True, True]


def test_without_a_store_nobody_can_know(store: FileStore, begun: list[Message]) -> None:
    assert settled(store, begun) == [("unconfirmed", None)] * 3
    assert not store.path.exists()


def test_the_last_one_that_was_encrypted_is_in_doubt(store: FileStore, library: Library, begun: list[Message]) -> None:
    send(library, begun[0], "A")
    assert settled(store, begun) == [("unconfirmed", "A"), ("queued", None), ("queued", None)]


def test_the_one_before_the_last_has_been_acknowledged(
    store: FileStore, library: Library, begun: list[Message]
) -> None:
    send(library, begun[0], "A")
    send(library, begun[1], "B")
    assert settled(store, begun) == [("sent", "A"), ("unconfirmed", "B"), ("queued", None)]


def test_the_last_one_that_was_not_encrypted_has_not_left(
    store: FileStore, library: Library, begun: list[Message]
) -> None:
    send(library, begun[0], "A")
    send(library, begun[1], "B", encrypted=False)
    assert settled(store, begun) == [("sent", "A"), ("queued", None), ("queued", None)]


def test_the_order_of_beginning_counts_and_not_that_of_the_ids(
    store: FileStore, library: Library, begun: list[Message]
) -> None:
    send(library, begun[1], "B")
    send(library, begun[2], "C")
    send(library, begun[0], "A")
    assert settled(store, begun) == [("unconfirmed", "A"), ("sent", "B"), ("sent", "C")]


def test_a_doubt_says_what_it_is_about(store: FileStore, library: Library, begun: list[Message]) -> None:
    send(library, begun[0], "A")
    outcome = next(iter(settle(store, begun)))
    assert (outcome.error_code, outcome.at) == ("worker_lost", None)
    assert outcome.error_detail


def test_what_is_queued_again_leaves_no_trace_for_the_second_attempt(
    store: FileStore, library: Library, begun: list[Message]
) -> None:
    send(library, begun[0], "A", encrypted=False)
    settled(store, begun)
    assert store.trace(bytes(begun[0].secret))[:2] == (Trace.ABSENT, None)
    send(library, begun[0], "A2")
    assert settled(store, begun[:1]) == [("unconfirmed", "A2")]


def test_settling_again_gives_the_same(store: FileStore, library: Library, begun: list[Message]) -> None:
    send(library, begun[0], "A")
    send(library, begun[1], "B")
    assert settled(store, begun) == settled(store, begun)


def test_nothing_begun_is_nothing_to_settle(store: FileStore) -> None:
    assert settled(store, []) == []
