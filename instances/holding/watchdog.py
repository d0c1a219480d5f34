"""Notices that a connection looks well and is deaf: the socket is open, and nothing comes through it any more.

Or one message gets no answer: the client library gives a send 75 s, but waits without end for the acknowledgement of
what it sends again after a reconnect. Only the end of the connection ends that, and nothing else can leave before.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import structlog
from django.conf import settings

from instances.whatsapp.failures import OFFLINE, SendFailed, failure_of

log = structlog.get_logger(__name__)
LOGIN_SECONDS = 45.0  # from the start of an attempt; the handshake alone may take 20
_AGAIN_SECONDS = 5.0  # between two questions


class Line(Protocol):
    """The connection as its watchdog sees it."""

    def ask(self) -> None:
        """A cheap question to WhatsApp; returns with the answer, after up to 75 s. Raises SendFailed."""

    def waits_for_login(self) -> bool:
        """Whether the socket is open and WhatsApp has not let the number in."""

    def restart(self, reason: str, silent_seconds: int) -> None:
        """Connect anew: ``no_answer``, ``login_stuck`` or ``send_stuck``."""


class Watchdog:
    """That of one number; `look` is called about once a second, the others by the connection's threads."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._lock = threading.Lock()
        self._heard_at = time.monotonic()
        self._online = False
        self._connecting_since: float | None = None
        self._doubt = False  # the library misses answers to its keep-alives
        self._asked_at: float | None = None  # a question that has not been answered
        self._sending_since: float | None = None
        self._attempt = 0

    def heard(self) -> None:
        """Something came from WhatsApp."""
        self._heard_at, self._doubt = time.monotonic(), False

    def connecting(self) -> None:
        """An attempt begins."""
        with self._lock:
            self._attempt += 1
            self._online, self._connecting_since, self._asked_at = False, time.monotonic(), None

    def online(self) -> None:
        self.heard()
        self._online, self._connecting_since = True, None

    def offline(self) -> None:
        """The connection is known to be lost: there is nothing to notice."""
        self._online, self._connecting_since = False, None

    def doubt(self) -> None:
        """The library got no answer to a keep-alive."""
        self._doubt = True

    @contextmanager
    def sending(self) -> Iterator[None]:
        """The library has a message. One at a time."""
        self._sending_since = time.monotonic()
        try:
            yield
        finally:
            self._sending_since = None

    @property
    def silent_seconds(self) -> float:
        return time.monotonic() - self._heard_at

    def look(self) -> None:
        """Ask WhatsApp if the connection has been silent for long, and restart it if there is no answer. No waiting."""
        now, since, asked_at, sending = time.monotonic(), self._connecting_since, self._asked_at, self._sending_since
        if self._online and sending is not None and now - sending > settings.SESSION_SEND_SECONDS:
            self._sending_since = None  # once for each message, whatever the library does
            self._give_up("send_stuck")
        elif asked_at is not None:
            if self._online and now - asked_at > settings.SESSION_ANSWER_SECONDS and self._heard_at < asked_at:
                self._give_up("no_answer")
        elif self._online and (self._doubt or now - self._heard_at > settings.SESSION_SILENT_SECONDS):
            self._asked_at = now
            threading.Thread(target=self._ask, args=[self._attempt], name="watchdog", daemon=True).start()
        elif since is not None and now - since > LOGIN_SECONDS:
            self._connecting_since = now
            if self._line.waits_for_login():
                self._give_up("login_stuck")

    def _ask(self, attempt: int) -> None:
        try:
            self._line.ask()
            answered = True
        except SendFailed as error:
            code = failure_of(str(error)).code
            answered = code not in (OFFLINE, "no_answer")  # a refusal is an answer
            log.info("watchdog_question", code=code)
        except Exception:
            log.exception("watchdog_failed")
            answered = False
        if answered:
            self.heard()
        else:
            time.sleep(_AGAIN_SECONDS)
        with self._lock:
            if attempt == self._attempt and (answered or self._heard_at >= (self._asked_at or 0.0)):
                self._asked_at = None

    def _give_up(self, reason: str) -> None:
        with self._lock:
            self._online, self._connecting_since, self._asked_at = False, None, None
            self._attempt += 1
        seconds = int(self.silent_seconds)
        threading.Thread(target=self._line.restart, args=[reason, seconds], name="watchdog", daemon=True).start()
