from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from instances.holding import writer
from instances.holding.writer import Writer
from instances.models import Instance, Worker
from instances.whatsapp.failures import SendFailed
from instances.whatsapp.jids import Jid
from messaging.calls.writing import HANDLERS
from messaging.tests.conftest import hold, make_message, worker

__all__ = ["hold", "make_message", "worker"]


class Ringing:
    """A held number whose writer writes, and that notes which calls are rejected; ``error`` is the engine's."""

    def __init__(self, instance: Instance, running: Writer) -> None:
        self.instance, self.instance_id, self._running = instance, instance.id, running
        self.rejected: list[tuple[str, str]] = []
        self.error = ""

    def write(self, value: Any, *, urgent: bool = True) -> Future[Any]:
        return self._running.submit(self.instance_id, 1, value, urgent=urgent)

    def reject_call(self, caller: Jid, wa_id: str) -> None:
        if self.error:
            raise SendFailed(self.error)
        self.rejected.append((str(caller), wa_id))


@pytest.fixture
def number(
    committed: None, instance: Instance, hold: Callable[[Instance], Instance], worker: Worker
) -> Iterator[Ringing]:
    before = dict(writer.handlers)
    writer.handlers.update(HANDLERS)
    running = Writer(worker.id)
    yield Ringing(hold(instance), running)
    running.close()
    writer.handlers.clear()
    writer.handlers.update(before)
