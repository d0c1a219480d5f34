"""What was confirmed to WhatsApp and not committed: on disk, and written by whoever comes next."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import OperationalError
from pytest_django import Settings

from instances.holding import intake, lease, replaying, writer
from instances.holding.intake import Intake
from instances.holding.journal import Entry, Journal, Left, left_behind
from instances.holding.replaying import replay_abandoned, replay_own
from instances.holding.writer import Item, Writer, Written
from instances.models import Instance, Worker
from instances.services import draft
from instances.whatsapp.news import HistoryBlob
from tests.conformance import Arbitrary
from webhooks.models import Event


@pytest.fixture(autouse=True)
def folder(settings: Settings, tmp_path: Path) -> Path:
    settings.SESSION_STORE_DIR = str(tmp_path / "sessions")
    return tmp_path / "sessions"


@pytest.fixture
def entries(folder: Path) -> Callable[[], list[Entry]]:
    """All that is on disk, also of holdings that live."""

    def read() -> list[Entry]:
        found: list[Entry] = []
        for path in left_behind():
            with Left(path, os.open(path, os.O_RDONLY)) as left:
                found += left.entries()
        return found

    return read


def die_with(folder: Path, instance_id: str, epoch: int, *events: bytes) -> None:
    """Have another process append events and be killed."""
    program = (
        "import os, sys\nfrom django.conf import settings\nsettings.configure(SESSION_STORE_DIR=sys.argv[1])\n"
        "from instances.holding.journal import Journal\njournal = Journal(sys.argv[2], int(sys.argv[3]))\n"
        "for raw in sys.argv[4:]:\n    assert journal.append(13, raw.encode())\nos.kill(os.getpid(), 9)\n"
    )
    words = [str(folder), instance_id, str(epoch), *(one.decode() for one in events)]
    died = subprocess.run([sys.executable, "-c", program, *words], check=False)
    assert died.returncode == -signal.SIGKILL


# --- the file -----------------------------------------------------------------------------------


def test_what_is_appended_is_kept_until_all_is_settled(entries: Callable[[], list[Entry]]) -> None:
    journal = Journal("ins_1", 1)
    events = [Entry(17, b"one"), Entry(18, b""), Entry(13, os.urandom(100_000))]
    assert all(journal.append(*event) for event in events)
    for _ in events:
        journal.forget()
        assert entries() == events
        journal.settle()
    journal.forget()
    assert (entries(), journal.size) == ([], 0)
    assert journal.append(17, b"later")
    assert entries() == [Entry(17, b"later")]


@pytest.mark.parametrize("settled", [True, False])
def test_the_file_is_its_owners_alone_and_goes_with_the_holding_if_all_is_settled(folder: Path, settled: bool) -> None:
    journal = Journal("ins_1", 1)
    (path,) = left_behind()
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(folder.stat().st_mode)) == (0o600, 0o700)
    journal.append(17, b"one")
    if settled:
        journal.settle()
    journal.end()
    assert path.exists() is not settled
    assert settled or Left.take(path)


def test_a_file_belongs_to_its_holding_while_that_lives(folder: Path) -> None:
    journal = Journal("ins_1", 1)
    journal.append(17, b"one")
    (path,) = left_behind()
    assert Left.take(path) is None
    die_with(folder, "ins_1", 2, b"two")
    dead = left_behind()[1]
    with Left.take(dead) or pytest.fail("the lock ends with the process") as left:
        assert (left.instance_id, list(left.entries())) == ("ins_1", [Entry(13, b"two")])
        assert Left.take(dead) is None


def test_a_holding_makes_its_file_anew_when_somebody_removes_the_empty_one(folder: Path) -> None:
    folder.mkdir()
    (folder / "ins_1.1.journal").touch()
    taken = Left.take(left_behind()[0]) or pytest.fail("nobody has it")
    opened: list[Journal] = []
    opening = threading.Thread(target=lambda: opened.append(Journal("ins_1", 1)))
    opening.start()
    time.sleep(0.05)  # it waits for the lock by now; if not, it finds no file, which is as well
    with taken:
        taken.remove()
    opening.join(20)
    opened[0].append(17, b"one")
    assert left_behind() == [folder / "ins_1.1.journal"]


@pytest.mark.parametrize("missing", [1, 5, 16], ids=["payload", "all the payload", "header"])
def test_a_torn_record_ends_what_is_read(folder: Path, missing: int, entries: Callable[[], list[Entry]]) -> None:
    die_with(folder, "ins_1", 1, b"first", b"whole", b"torn!")
    (path,) = left_behind()
    os.truncate(path, path.stat().st_size - missing)
    assert entries() == [Entry(13, b"first"), Entry(13, b"whole")]


def test_a_changed_record_is_not_believed(folder: Path, entries: Callable[[], list[Entry]]) -> None:
    die_with(folder, "ins_1", 1, b"first", b"other")
    (path,) = left_behind()
    path.write_bytes(path.read_bytes().replace(b"other", b"forge"))
    assert entries() == [Entry(13, b"first")]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Makes a disk that is full beyond a size; a real write is cut short, then refused."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_keeps_nothing_of_an_event_and_all_of_those_before(entries: Callable[[], list[Entry]]) -> None:
    journal = Journal("ins_1", 1)
    with largest_file(2_000):
        assert journal.append(17, b"a" * 1_000)
        assert not journal.append(17, b"b" * 1_000), "cut short"
        assert not journal.append(17, b"c" * 4_000)
        assert journal.append(17, b"d" * 100)
    assert entries() == [Entry(17, b"a" * 1_000), Entry(17, b"d" * 100)]


# --- on its way ------------------------------------------------------------------------------------


class Blobs:
    """The handler of history parts in these tests: an event for each; it can be held up, and fail."""

    def __init__(self) -> None:
        self.open, self.entered = threading.Event(), threading.Event()
        self.open.set()
        self.bad: dict[bytes, Exception] = {}

    def __call__(self, items: list[Item], held: dict[str, Instance]) -> Written:
        self.entered.set()
        assert self.open.wait(20)
        for item in items:
            if item.value.data in self.bad:
                raise self.bad[item.value.data]
        drafts = [draft(held[one.instance_id], "instance.qr", Arbitrary(said=one.value.data.decode())) for one in items]
        return Written([None] * len(items), drafts)

    def written(self) -> list[str]:
        return [event.data["said"] for event in Event.objects.order_by("sequence")]


@pytest.fixture
def blobs(running_writer: Writer) -> Blobs:
    handler = Blobs()
    writer.handlers[HistoryBlob] = handler
    return handler


@pytest.fixture
def untranslated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every event is history, and says what its bytes say."""
    for module in (intake, replaying):
        monkeypatch.setattr(module, "translate", lambda code, raw: HistoryBlob(raw) if raw else None)


@pytest.fixture
def taking(untranslated: None, blobs: Blobs, running_writer: Writer, held: Instance) -> Iterator[Intake]:
    made = Intake(held.id, 1, running_writer, lambda news: None)
    yield made
    blobs.open.set()
    assert committed(made)
    made.end()
    made._thread.join(20)
    assert left_behind(held.id) == []


def committed(taking: Intake) -> bool:
    taking.wait(time.monotonic() + 20)
    return taking._is_empty()


def wait_until_quiet(entries: Callable[[], list[Entry]]) -> None:
    deadline = time.monotonic() + 20
    while entries():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_nobody_waits_for_the_commit_of_what_is_on_disk(
    blobs: Blobs, taking: Intake, entries: Callable[[], list[Entry]]
) -> None:
    blobs.open.clear()
    said = [f"{number}".encode() for number in range(250)]
    for one in said:
        taking.take(13, one)
    taking.take(13, b"")
    assert [entry.raw for entry in entries()] == [*said, b""]
    assert blobs.written() == []
    blobs.open.set()
    assert committed(taking)
    assert blobs.written() == [one.decode() for one in said]
    wait_until_quiet(entries)


def test_what_is_not_on_disk_is_committed_before_the_next_is_taken(blobs: Blobs, taking: Intake) -> None:
    blobs.open.clear()
    with largest_file(0):
        writing = threading.Thread(target=lambda: taking.take(13, b"one"))
        writing.start()
        assert blobs.entered.wait(20)
        writing.join(0.05)
        assert writing.is_alive()
    blobs.open.set()
    writing.join(20)
    assert blobs.written() == ["one"]


def test_typing_is_neither_kept_nor_waited_for(
    blobs: Blobs, taking: Intake, entries: Callable[[], list[Entry]]
) -> None:
    blobs.open.clear()
    taking.take(19, b"somebody types")
    assert entries() == []
    blobs.open.set()
    assert committed(taking)
    assert blobs.written() == ["somebody types"]


@pytest.mark.parametrize(("bound", "most"), [("MOST_EVENTS", 3), ("MOST_BYTES", 3), ("LARGEST_FILE", 60)])
@pytest.mark.parametrize("released", [True, False])
def test_when_too_much_is_not_committed_the_library_waits(
    blobs: Blobs, taking: Intake, monkeypatch: pytest.MonkeyPatch, bound: str, most: int, released: bool
) -> None:
    monkeypatch.setattr(intake, bound, most)
    blobs.open.clear()
    writing = threading.Thread(target=lambda: [taking.take(13, b"%d" % number) for number in range(6)])
    writing.start()
    writing.join(0.1)
    assert writing.is_alive()
    if released:
        taking.release()  # the connection ends: what the library still holds goes to disk
        writing.join(20)
        assert not writing.is_alive()
    blobs.open.set()
    writing.join(20)
    assert committed(taking)
    assert blobs.written() == list("012345")


def test_what_cannot_be_written_does_not_stay(blobs: Blobs, taking: Intake, entries: Callable[[], list[Entry]]) -> None:
    blobs.bad[b"bad"] = ValueError("it is bad")
    for said in (b"before", b"bad", b"after"):
        taking.take(13, said)
    assert committed(taking)
    assert blobs.written() == ["before", "after"]
    wait_until_quiet(entries)


def test_what_a_number_was_told_is_written_although_the_lease_is_lost(
    blobs: Blobs, taking: Intake, held: Instance, make_worker: Callable[..., Worker]
) -> None:
    Instance.objects.update(holder=make_worker(), epoch=2, lease_until=lease._lease_end())
    taking.take(13, b"a fact")
    assert committed(taking)
    assert blobs.written() == ["a fact"]


# --- replaying ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("untranslated")
def test_the_next_holder_writes_what_killed_ones_left_in_order(
    blobs: Blobs, running_writer: Writer, held: Instance, folder: Path
) -> None:
    die_with(folder, held.id, 10, *(b"%d" % number for number in range(200, 450)))
    die_with(folder, held.id, 9, *(b"%d" % number for number in range(200)))
    die_with(folder, f"{held.id}2", 1, b"of another number")
    replay_own(held.id, running_writer)
    assert blobs.written() == [str(number) for number in range(450)]
    assert [path.name for path in left_behind()] == [f"{held.id}2.1.journal"]


@pytest.mark.usefixtures("untranslated")
def test_what_nobody_holds_is_written_without_a_lease(
    blobs: Blobs, running_writer: Writer, held: Instance, folder: Path
) -> None:
    Instance.objects.update(holder=None, epoch=7, lease_until=None)
    die_with(folder, held.id, 7, b"left")
    die_with(folder, "ins_deleted", 1, b"gone")
    replay_abandoned(running_writer)
    assert (blobs.written(), left_behind()) == (["left"], [])


@pytest.mark.usefixtures("untranslated")
def test_what_lives_is_left_alone(blobs: Blobs, running_writer: Writer, held: Instance) -> None:
    living = Journal(held.id, 1)
    living.append(13, b"mine")
    replay_abandoned(running_writer)
    assert blobs.written() == []
    living.settle()
    living.end()
    assert left_behind() == []


@pytest.mark.usefixtures("untranslated")
def test_what_fails_alone_does_not_stop_the_rest_and_an_absent_database_keeps_all(
    blobs: Blobs, running_writer: Writer, held: Instance, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    die_with(folder, held.id, 1, b"before", b"bad", b"after")
    blobs.bad[b"bad"] = ValueError("it is bad")
    monkeypatch.setattr(writer, "_RETRY_SECONDS", (0.0,))
    running_writer._stopping.set()  # it tries again for ever otherwise
    blobs.bad[b"before"] = OperationalError("the database is away")
    with pytest.raises(OperationalError):
        replay_own(held.id, running_writer)
    assert len(left_behind()) == 1
    del blobs.bad[b"before"]
    replay_own(held.id, running_writer)
    assert (set(blobs.written()), left_behind()) == ({"before", "after"}, [])
