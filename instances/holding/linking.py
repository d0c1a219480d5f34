"""The worker's side of a link: starts the linking process and writes what it says."""

from __future__ import annotations

import base64
import contextlib
import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import structlog
from django.conf import settings

from instances import proxies
from instances.holding.handlers import Linked, ShowPairingCode, ShowQr
from instances.states import State
from instances.whatsapp.jids import parse
from instances.whatsapp.news import StateChange
from instances.whatsapp.store import Store, StoreFailed

log = structlog.get_logger(__name__)
ATTEMPT_SECONDS = 170  # the library shows codes for 160 s and then says nothing more
_STORE_SECONDS = 30.0  # that the key database may be away when a number was linked
_STARTING = threading.BoundedSemaphore(2)  # starting one costs half a second of a core
_FAILED = ("error", "err-client-outdated", "err-unexpected-state", "err-scanned-without-multidevice", "passkey-request")


@lru_cache(maxsize=1)
def _places() -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(settings.LINKS_PER_WORKER)


@contextmanager
def link_place(stopping: threading.Event) -> Iterator[None]:
    """One of the links that this process may have at a time; waits for it, or until the number is stopped."""
    taken = False
    while not taken and not stopping.is_set():
        taken = _places().acquire(timeout=0.2)
    try:
        yield
    finally:
        if taken:
            _places().release()


def is_of_keys(error: str) -> bool:
    """True when the library could not open its store; the text may hold addresses of this installation."""
    return error.startswith(("failed to upgrade database", "failed to open database", "failed to scan session"))


def is_of_network(error: str) -> bool:
    """True when an error text of the library says that the network, or a proxy, is at fault."""
    return any(word in error for word in ("dial", "lookup", "network", "proxy", "socks"))


class Link:
    """One attempt. `run` returns the StateChange it ended with, or None when the number is linked.

    ``refused`` says then that it must not stay linked.
    """

    def __init__(
        self,
        store: Store,
        write: Callable[[Any], Future[Any]],
        event: Callable[[int, bytes], None],
        phone: str | None,
        device_name: str,
        proxy: str | None,
    ) -> None:
        self._store, self._event = store, event
        self._write = lambda value: write(value).result()
        self._phone, self._device_name, self._proxy = phone, device_name, proxy
        self.refused = False
        self.device_jid: str | None = None  # once it is linked
        self._lines: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._process: subprocess.Popen[str] | None = None

    def run(self, stopping: threading.Event) -> StateChange | None:
        try:
            return self._run(stopping)
        except StoreFailed as error:
            log.warning("key_store_failed", error=str(error))
            return StateChange(State.RECONNECTING, "key_store_unreachable")

    def _run(self, stopping: threading.Event) -> StateChange | None:
        try:
            proxy = proxies.pinned(self._proxy) if self._proxy else None
        except proxies.ProxyUnusable as error:
            return StateChange(State.RECONNECTING, "proxy_unreachable", str(error))
        self._store.prepare()
        self._store.erase()  # what a link left that broke off
        with _STARTING:
            self._process = self._start()
            self._say(store=self._store.name, device_name=self._device_name, proxy=proxy)
            first = self._next(20, stopping)
        end: StateChange | None = StateChange(State.STOPPED, "link_failed")
        try:
            end = self._follow(first, stopping)
        finally:
            self._process.kill()
            self._process.wait()
            if end is not None and not stopping.is_set():  # stopped: maybe because the file is somebody else's now
                self._store.erase()
        return end

    def ask_code(self, phone: str) -> None:
        """Ask the running attempt for a pairing code."""
        self._say(pair_phone=phone)

    def _say(self, **line: Any) -> None:
        if self._process and self._process.stdin:
            with contextlib.suppress(OSError):  # it has ended, which its output tells
                self._process.stdin.write(json.dumps(line) + "\n")
                self._process.stdin.flush()

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "instances.holding.linker"],
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
                return self._linked(stopping)
            elif "error" in line or line.get("status") in _FAILED:
                # Once paired the keys are in the store, whatever became of the process.
                return self._linked(stopping) if paired else self._failed(line.get("error") or line["status"])
            line = self._next(deadline - time.monotonic(), stopping)
        return self._linked(stopping) if paired else StateChange(State.STOPPED, "link_timeout")

    def _linked(self, stopping: threading.Event) -> StateChange | None:
        device = self._device(stopping)
        if device is None:
            return StateChange(State.STOPPED, "link_failed", "the store holds no device")
        self._store.watch_order()
        jid, lid = parse(device[0]), parse(device[1]).bare if device[1] else None
        self.device_jid = device[0]
        self.refused = not self._write(Linked(device[0], jid.user, str(lid) if lid else None, self._store.kind))
        return None

    def _device(self, stopping: threading.Event) -> tuple[str, str | None] | None:
        """The phone was scanned: a store that is away for a moment must not cost the link."""
        until = time.monotonic() + _STORE_SECONDS
        while True:
            try:
                return self._store.device()
            except StoreFailed:
                if time.monotonic() > until or stopping.wait(1.0):
                    raise

    def _failed(self, error: str) -> StateChange:
        if is_of_keys(error):
            log.warning("key_store_failed", error=error)
            return StateChange(State.RECONNECTING, "key_store_unreachable")
        words = proxies.scrubbed(error, self._proxy)
        if is_of_network(error):
            reason = "proxy_unreachable" if self._proxy else "network_unreachable"
            return StateChange(State.RECONNECTING, reason, words)
        return StateChange(State.STOPPED, "link_failed", words)
