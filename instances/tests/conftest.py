from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.utils import timezone

from instances.holding import handlers, lease, writer
from instances.holding.writer import Writer
from instances.models import Instance, Network, Worker


@pytest.fixture
def make_worker(db: None) -> Callable[..., Worker]:
    """Makes the row of a live session worker on another machine."""

    def make(**columns: Any) -> Worker:
        defaults = {
            "name": "session@elsewhere",
            "network": Network.SANDBOX,
            "queue": "session.session@elsewhere",
            "machine": "elsewhere",
            "pid": 1,
            "capacity": 100,
        }
        return Worker.objects.create(**(defaults | columns))

    return make


@pytest.fixture
def worker(make_worker: Callable[..., Worker]) -> Worker:
    return make_worker()


@pytest.fixture
def held(committed: None, instance: Instance, worker: Worker) -> Instance:
    """Alice's instance, held by the worker in epoch 1."""
    Instance.objects.filter(pk=instance.pk).update(holder=worker, epoch=1, lease_until=lease._lease_end())
    return Instance.objects.get(pk=instance.pk)


@pytest.fixture
def running_writer(held: Instance, worker: Worker) -> Iterator[Writer]:
    """A writer of the worker that holds Alice's instance."""
    before = dict(writer.handlers)
    writer.handlers.update(handlers.HANDLERS)
    running = Writer(worker.id)
    yield running
    running.close()
    writer.handlers.clear()
    writer.handlers.update(before)


@pytest.fixture
def showing(alice: Any, make_instance: Callable[..., Instance]) -> Instance:
    """Alice's instance that shows a QR code."""
    return make_instance(
        alice,
        state="linking",
        reason="waiting_for_scan",
        phone=None,
        device_jid=None,
        qr_code="2@abc,def,ghi",
        qr_expires_at=timezone.now() + timezone.timedelta(seconds=20),
    )
