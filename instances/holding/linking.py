"""The worker's side of a link: starts the linking process and writes what it says."""

from __future__ import annotations

import base64
import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import structlog
from django.conf import settings

from instances.holding.handlers import Linked, ShowPairingCode, ShowQr
from instances.states import State
from instances.whatsapp.jids import parse
from instances.whatsapp.news import StateChange
from instances.whatsapp.store import Store

log = structlog.get_logger(__name__)
ATTEMPT_SECONDS = 170  # the library shows codes for 160 s and then says nothing more
_STARTING = threading.BoundedSemaphore(2)  # starting one costs half a second of a core
_FAILED = ("error", "err-client-outdated", "err-unexpected-state", "err-scanned-without-multidevice", "passkey-request")


class Link:
    """One attempt. `run` returns the StateChange it ended with, or None when the number is linked."""

    def __init__(
        self, store: Store, write: Callable[[Any], None], event: Callable[[int, bytes], None], phone: str | None
    ) -> None:
        self._store, self._write, self._event = store, write, event
        self._phone = phone
        self._lines: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._process: subprocess.Popen[str] | None = None

    def run(self, stopping: threading.Event) -> StateChange | None:
        self._store.prepare()
        self._store.erase()
        with _STARTING:
            self._process = self._start()
            first = self._next(20, stopping)
        try:
            return self._follow(first, stopping)
        finally:
            self._process.kill()
            self._process.wait()

    def ask_code(self, phone: str) -> None:
        """Ask the running attempt for a pairing code."""
        if self._process and self._process.stdin:
            self._process.stdin.write(json.dumps({"pair_phone": phone}) + "\n")
            self._process.stdin.flush()

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "instances.holding.linker", self._store.name],
            cwd=settings.BASE_DIR,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._read, args=[process], daemon=True).start()
        return process

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):  # the library prints words of its own
                self._lines.put(json.loads(line))
        self._lines.put({"error": "the linking process ended"})

    def _next(self, seconds: float, stopping: threading.Event) -> dict[str, Any] | None:
        deadline = time.monotonic() + seconds
        while not stopping.is_set() and time.monotonic() < deadline:
            try:
                return self._lines.get(timeout=0.2)
            except queue.Empty:
                continue
        return None

    def _follow(self, line: dict[str, Any] | None, stopping: threading.Event) -> StateChange | None:
        deadline, paired = time.monotonic() + ATTEMPT_SECONDS, False
        while line is not None:
            if "qr" in line:
                self._write(ShowQr(line["qr"], line["seconds"]))
                if self._phone:
                    self.ask_code(self._phone)
                    self._phone = None
            elif "pairing_code" in line:
                self._write(ShowPairingCode(line["pairing_code"]))
            elif "paired" in line:
                paired = True
            elif "event" in line:
                self._event(line["event"], base64.b64decode(line["raw"]))
            elif "done" in line:
                return self._linked()
            elif "error" in line or line.get("status") in _FAILED:
                # Once paired the keys are in the store, whatever became of the process.
                return self._linked() if paired else self._failed(line.get("error") or line["status"])
            line = self._next(deadline - time.monotonic(), stopping)
        return self._linked() if paired else StateChange(State.STOPPED, "link_timeout")

    def _linked(self) -> StateChange | None:
        device = self._store.device()
        if device is None:
            return StateChange(State.STOPPED, "link_failed", "the store holds no device")
        self._store.watch_order()
        jid, lid = parse(device[0]), parse(device[1]).bare if device[1] else None
        self._write(Linked(device[0], jid.user, str(lid) if lid else None))
        return None

    @staticmethod
    def _failed(error: str) -> StateChange:
        if "dial" in error or "lookup" in error or "network" in error:
            return StateChange(State.RECONNECTING, "network_unreachable", error)
        return StateChange(State.STOPPED, "link_failed", error)
