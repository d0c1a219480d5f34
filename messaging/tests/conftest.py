from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from instances.holding import lease, writer
from instances.holding.writer import Writer
from instances.models import Instance, Worker
from instances.whatsapp.failures import SendFailed
from instances.whatsapp.jids import Jid
from instances.whatsapp.people import Registration
from messaging.models import Message
from messaging.receiving import handlers as receiving
from messaging.sending.ledger import HANDLERS
from messaging.states import Direction, Status


@pytest.fixture
def worker(db: None) -> Worker:
    return Worker.objects.create(
        name="session@test", network="sandbox", queue="session.test", machine="test", pid=1, capacity=100
    )


@pytest.fixture
def hold(worker: Worker) -> Callable[[Instance], Instance]:
    """Has the worker hold an instance in epoch 1."""

    def hold(instance: Instance) -> Instance:
        instance.holder, instance.epoch = worker, 1
        instance.save()
        Instance.objects.filter(pk=instance.pk).update(lease_until=lease._lease_end())
        return instance

    return hold


@pytest.fixture
def held(committed: None, instance: Instance, hold: Callable[[Instance], Instance]) -> Instance:
    """Alice's instance, held by the worker; what is written is committed."""
    return hold(instance)


@pytest.fixture
def running_writer(committed: None, worker: Worker) -> Iterator[Writer]:
    """The worker's writer, with the handlers of the ledger."""
    before = dict(writer.handlers)
    writer.handlers.update(HANDLERS | receiving.HANDLERS)
    running = Writer(worker.id)
    yield running
    running.close()
    writer.handlers.clear()
    writer.handlers.update(before)


Write = Callable[..., list[Any]]


@pytest.fixture
def write(running_writer: Writer, held: Instance) -> Write:
    """Writes values for Alice's instance, or another held one, and returns their results."""

    def write(*values: Any, instance: Instance = held) -> list[Any]:
        futures = [running_writer.submit(instance.id, 1, value) for value in values]
        return [future.result(20) for future in futures]

    return write


@pytest.fixture
def make_message(db: None) -> Callable[..., Message]:
    """Makes an outbound message; by default one that is queued for the phone 15550100002."""

    def make(instance: Instance, **columns: Any) -> Message:
        defaults = {
            "direction": Direction.OUTBOUND,
            "status": Status.QUEUED,
            "type": "text",
            "content": {"body": "hello"},
            "chat": "15550100002@s.whatsapp.net",
        }
        row = Message(organization_id=instance.organization_id, instance=instance, **(defaults | columns))
        row.save(force_insert=True)
        return row

    return make


class FakeHeld:
    """A held number: what is written goes to ``write``, what is asked of WhatsApp is answered from ``directory``."""

    def __init__(self, instance: Instance, write: Callable[[Any], Future[Any]]) -> None:
        self.instance_id, self.network, self.online = instance.id, instance.network, True
        self.presences: list[tuple[str, str]] = []
        self.asked: list[list[str]] = []
        self.directory: dict[str, Jid | None] = {}
        self.error = ""
        self._write = write

    def write(self, value: Any, *, urgent: bool = True) -> Future[Any]:
        return self._write(value)

    def chat_presence(self, chat: Jid, state: str) -> None:
        self.presences.append((str(chat), state))

    def are_on_whatsapp(self, phones: Collection[str]) -> dict[str, Registration | None]:
        self.asked.append(sorted(phones))
        if self.error:
            raise SendFailed(self.error)
        found = {phone: self.directory.get(phone, Jid(phone)) for phone in phones}
        return {phone: Registration(jid) if jid else None for phone, jid in found.items()}


@pytest.fixture
def fake_held(instance: Instance) -> Any:
    """Alice's instance as a lane sees it, with nobody who writes."""
    return FakeHeld(instance, lambda value: pytest.fail(f"nobody writes {value}"))
