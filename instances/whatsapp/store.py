"""The client library's own database of one instance: a WAL SQLite file under SESSION_STORE_DIR.

Beside the library's tables it has two of ours. ``gateway_order``, written by triggers in the library's own
transactions, notes when the last message secret was stored and when Signal state last changed. Both happen in that
order before a message leaves, so after a crash the pair tells whether the last message can have left
(docs/decisions/0003-settling-doubt.md). ``gateway_contacts`` keeps names while a status goes to a chosen audience
(docs/decisions/0012-audience-of-a-status.md).

Nothing in this process opens the file: a process of its own does (``storefile``, which says why).
"""

from __future__ import annotations

import atexit
import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings

from instances.whatsapp.jids import NEWSLETTER

# The library appends "?_foreign_keys=on" to the name; the last parameter swallows it.
_PARAMETERS = "?_journal_mode=WAL&_synchronous=NORMAL&_foreign_keys=on&_busy_timeout=15000&_x="


class Trace(Enum):
    """What the store knows of a message whose sending was cut short."""

    ABSENT = "the library never began: it did not leave"
    NOT_ENCRYPTED = "it was begun, but not encrypted: it did not leave"
    POSSIBLE = "it may have left, or nobody can know"


class Trail(NamedTuple):
    """What the store knows of a message: the id WhatsApp knows it by, and its place in the order of beginning."""

    trace: Trace
    wa_id: str | None = None
    place: int = 0


class StoreFailed(Exception):
    """The store could not be read or changed; nothing was."""


class _Keeper:
    """The process that opens stores, one for this process; begun with the first call, and anew when it has ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def __call__(self, name: str, path: Path, *arguments: Any) -> Any:
        """Call a function of ``storefile``, each of which may be called twice. Raises StoreFailed."""
        question = json.dumps([name, str(path), *arguments]) + "\n"
        with self._lock:
            answer = json.loads(self._ask(question) or self._ask(question) or '{"error": "no answer"}')
        if "error" in answer:
            raise StoreFailed(f"{name}: {answer['error']}")
        return answer["result"]

    def _ask(self, question: str) -> str:
        """The answer; empty when the process has ended."""
        process = self._process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):
            process.stdin.write(question)
            process.stdin.flush()
            if (line := process.stdout.readline()).endswith("\n"):
                return line
        self._end()
        return ""

    def _start(self) -> subprocess.Popen[str]:
        atexit.register(self._end)
        return subprocess.Popen(
            [sys.executable, "-m", "instances.whatsapp.storefile"],
            cwd=settings.BASE_DIR,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,  # a signal for the worker's group is not for it: the worker still asks while it ends
        )

    def _end(self) -> None:
        atexit.unregister(self._end)
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in filter(None, (process.stdin, process.stdout)):
            with contextlib.suppress(OSError):  # what it did not take any more
                pipe.close()


_call = _Keeper()


class Store:
    """The file of one instance. Its methods raise StoreFailed."""

    def __init__(self, instance_id: str) -> None:
        self.path = Path(settings.SESSION_STORE_DIR) / f"{instance_id}.db"

    @property
    def name(self) -> str:
        """What the library takes as the name of its database."""
        return f"{self.path}{_PARAMETERS}"

    def prepare(self) -> None:
        """Make the folder, readable by this user alone: the keys in it are in clear."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)

    def erase(self) -> None:
        """Delete the file; the keys of a removed link are of no use."""
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def has_device(self, device_jid: str) -> bool:
        """False also for a missing file. To connect without the row would end the process."""
        device = self.device()
        return device is not None and device[0] == device_jid

    def device(self) -> tuple[str, str | None] | None:
        """The linked device's JID and LID, or None when the store holds no link."""
        found = _call("device", self.path) if self.path.exists() else None
        return (found[0], found[1]) if found else None

    def watch_order(self) -> None:
        """Install the table and triggers of the order; idempotent. The library must have made its tables."""
        _call("watch_order", self.path)

    def trace(self, secret: bytes) -> Trail:
        """What became of the message with this secret.

        Call it while the number is offline: an inbound message changes Signal state too, which makes a
        POSSIBLE out of a NOT_ENCRYPTED (never the other way round). Without a linked device the secrets are
        gone with it, so nothing is known: POSSIBLE, without an id.
        """
        if self.device() is None:
            return Trail(Trace.POSSIBLE)
        found = _call("trace", self.path, secret.hex())
        if found is None:
            return Trail(Trace.ABSENT)
        encrypted = not found["chat"].endswith(f"@{NEWSLETTER}")  # what channels get leaves no other trace
        if found["is_last"] and encrypted and found["secret"] > found["signal"]:
            return Trail(Trace.NOT_ENCRYPTED, found["wa_id"], found["place"])
        return Trail(Trace.POSSIBLE, found["wa_id"], found["place"])

    def forget_secret(self, secret: bytes) -> None:
        """Drop a settled message's secret, so that a second attempt is told apart from the first."""
        _call("forget_secret", self.path, secret.hex())

    def narrow_audience(self, jids: Iterable[str]) -> None:
        """Leave only these people in the address book, until `restore_contacts`.

        The library sends a status to everybody who has a name in its address book.
        """
        _call("narrow_audience", self.path, list(jids))

    def restore_contacts(self) -> None:
        """Put the address book back; names that came meanwhile stay. Idempotent, also after a crash in between."""
        _call("restore_contacts", self.path)
