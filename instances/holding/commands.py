"""Runs the commands that other processes have for a held number, one after another, beside its lane."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog
from django.db import connection

from config.api.problems import Problem
from instances import commands
from instances.holding import attachments
from instances.whatsapp.failures import OFFLINE, SendFailed, failure_of

if TYPE_CHECKING:
    from instances.holding.attachments import Held

log = structlog.get_logger(__name__)
_MOST_WAITING = 200


class Command(NamedTuple):
    """What ``instances.commands.call`` asked for; after ``until`` (monotonic clock) nobody waits for it."""

    call_id: str
    name: str
    arguments: dict[str, Any]
    until: float


class Commands:
    """Those of one number. A thread lives while there are any, so one number never waits for another's."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self._waiting: deque[Command] = deque()
        self._lock = threading.Lock()
        self._running = False

    def put(self, command: Command) -> None:
        """Have a command run and answered. Returns at once."""
        with self._lock:
            full = len(self._waiting) >= _MOST_WAITING
            if not full:
                self._waiting.append(command)
                if not self._running:
                    self._running = True
                    name = f"commands-{self._held.instance_id}"
                    threading.Thread(target=self._run, name=name, daemon=True).start()
        if full:
            commands.answer(command.call_id, Problem("unavailable", "The number has too many commands waiting."))

    def _run(self) -> None:
        structlog.contextvars.bind_contextvars(instance=self._held.instance_id)
        try:
            while command := self._next():
                if time.monotonic() < command.until:
                    commands.answer(command.call_id, self._result(command))
        finally:
            connection.close()

    def _next(self) -> Command | None:
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._running = False
            return None

    def _result(self, command: Command) -> Any:
        if not self._held.online:
            return commands.offline()
        try:
            return attachments.commands[command.name](self._held, command.arguments)
        except Problem as problem:
            return problem
        except SendFailed as error:
            failure = failure_of(str(error))
            log.info("command_failed", command=command.name, code=failure.code)
            return commands.offline() if failure.code == OFFLINE else Problem("engine_failed", failure.detail)
        except Exception:
            log.exception("command_broke", command=command.name)
            return Problem("internal_error")
