"""A connection that looks well is asked, and connected anew when it does not answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from pytest_django import Settings

from conftest import wait_for
from instances.holding import watchdog as module
from instances.holding.watchdog import Watchdog
from instances.whatsapp.failures import SendFailed


class Line:
    """A connection whose other end answers, or does not."""

    def __init__(self) -> None:
        self.asked = 0
        self.error = ""
        self.silent = threading.Event()  # set: questions are answered
        self.silent.set()
        self.stuck = False
        self.restarts: list[str] = []

    def ask(self) -> None:
        self.asked += 1
        self.silent.wait(20)
        if self.error:
            raise SendFailed(self.error)

    def waits_for_login(self) -> bool:
        return self.stuck

    def restart(self, reason: str, silent_seconds: int) -> None:
        self.restarts.append(reason)


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.silent.set()


@pytest.fixture
def watchdog(line: Line, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Watchdog:
    settings.SESSION_SILENT_SECONDS, settings.SESSION_ANSWER_SECONDS = 0, 60
    settings.SESSION_SEND_SECONDS = 60
    monkeypatch.setattr(module, "_AGAIN_SECONDS", 0.0)
    return Watchdog(line)


def looks_until(watchdog: Watchdog, condition: Callable[[], object]) -> None:
    def look() -> object:
        watchdog.look()
        return condition()

    wait_for(look)


def test_a_silent_connection_that_answers_is_left_alone(line: Line, watchdog: Watchdog) -> None:
    watchdog.online()
    looks_until(watchdog, lambda: line.asked >= 3)
    assert line.restarts == []


def test_one_that_does_not_answer_is_connected_anew_once(line: Line, watchdog: Watchdog, settings: Settings) -> None:
    line.silent.clear()
    watchdog.online()
    looks_until(watchdog, lambda: line.asked)
    watchdog.look()
    assert line.restarts == []
    settings.SESSION_ANSWER_SECONDS = 0
    looks_until(watchdog, lambda: line.restarts)
    watchdog.look()
    assert (line.restarts, line.asked) == (["no_answer"], 1)


def test_whatever_comes_from_whatsapp_is_an_answer(line: Line, watchdog: Watchdog, settings: Settings) -> None:
    line.silent.clear()
    watchdog.online()
    looks_until(watchdog, lambda: line.asked)
    watchdog.heard()
    settings.SESSION_ANSWER_SECONDS = 0
    watchdog.look()
    assert line.restarts == []


def test_a_refusal_is_an_answer(line: Line, watchdog: Watchdog, settings: Settings) -> None:
    line.error = "server returned error 500"
    watchdog.online()
    looks_until(watchdog, lambda: line.asked >= 2)
    assert line.restarts == []


def test_a_lost_keep_alive_makes_it_ask_at_once(line: Line, watchdog: Watchdog, settings: Settings) -> None:
    settings.SESSION_SILENT_SECONDS = 3600
    watchdog.online()
    watchdog.look()
    assert line.asked == 0
    watchdog.doubt()
    looks_until(watchdog, lambda: line.asked)


def test_a_connection_that_is_known_to_be_lost_is_not_asked(line: Line, watchdog: Watchdog) -> None:
    watchdog.online()
    watchdog.offline()
    watchdog.look()
    assert line.asked == 0


@pytest.mark.parametrize("stuck", [True, False])
def test_a_login_that_never_ends_is_tried_anew(
    line: Line, watchdog: Watchdog, monkeypatch: pytest.MonkeyPatch, stuck: bool
) -> None:
    monkeypatch.setattr(module, "LOGIN_SECONDS", 0.0)
    line.stuck = stuck
    watchdog.connecting()
    deadline = time.monotonic() + (10 if stuck else 0.1)
    while not line.restarts and time.monotonic() < deadline:
        watchdog.look()
    assert line.restarts == (["login_stuck"] if stuck else [])


@pytest.mark.parametrize("online", [True, False])
def test_a_message_without_an_answer_ends_its_connection_once(
    line: Line, watchdog: Watchdog, settings: Settings, online: bool
) -> None:
    settings.SESSION_SILENT_SECONDS = 3600
    watchdog.online()
    if not online:
        watchdog.offline()  # the library ends what it sends by itself
    with watchdog.sending():
        watchdog.look()
        assert line.restarts == []
        settings.SESSION_SEND_SECONDS = 0
        if online:
            looks_until(watchdog, lambda: line.restarts)
            watchdog.online()
        watchdog.look()
    assert line.restarts == (["send_stuck"] if online else [])


def test_a_message_that_was_answered_is_no_reason(line: Line, watchdog: Watchdog, settings: Settings) -> None:
    settings.SESSION_SILENT_SECONDS, settings.SESSION_SEND_SECONDS = 3600, 0
    watchdog.online()
    with watchdog.sending():
        pass
    watchdog.look()
    assert line.restarts == []
