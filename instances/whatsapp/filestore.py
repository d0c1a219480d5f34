"""The store of one instance in a WAL SQLite file under SESSION_STORE_DIR.

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
from pathlib import Path
from typing import Any

from django.conf import settings

from instances.whatsapp.store import Store, StoreFailed

# The library appends "?_foreign_keys=on" to the name; the last parameter swallows it.
_PARAMETERS = "?_journal_mode=WAL&_synchronous=NORMAL&_foreign_keys=on&_busy_timeout=15000&_x="


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


class FileStore(Store):
    """The file of one instance."""

    kind = "file"

    def __init__(self, instance_id: str) -> None:
        self.path = Path(settings.SESSION_STORE_DIR) / f"{instance_id}.db"

    @property
    def name(self) -> str:
        return f"{self.path}{_PARAMETERS}"

    def prepare(self) -> None:
        """Make the folder, readable by this user alone: the keys in it are in clear."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)

    def erase(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def device(self) -> tuple[str, str | None] | None:
        found = _call("device", self.path) if self.path.exists() else None
        return (found[0], found[1]) if found else None

    def watch_order(self) -> None:
        _call("watch_order", self.path)

    def _places(self, secret: bytes) -> dict[str, Any] | None:
        found: dict[str, Any] | None = _call("trace", self.path, secret.hex())
        return found

    def forget_secret(self, secret: bytes) -> None:
        _call("forget_secret", self.path, secret.hex())

    def narrow_audience(self, jids: Iterable[str]) -> None:
        _call("narrow_audience", self.path, list(jids))

    def restore_contacts(self) -> None:
        _call("restore_contacts", self.path)
