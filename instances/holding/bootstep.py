"""Makes a Celery worker a session worker: ``celery -A config worker -P threads --hold-sessions --network sandbox``."""

from __future__ import annotations

import sys
import time
from typing import Any

import structlog
from celery import bootsteps
from celery.concurrency.thread import TaskPool
from celery.worker import state
from django.core.exceptions import ImproperlyConfigured

from instances import keystores
from instances.holding import current
from instances.models import Network
from instances.whatsapp.keydatabase import KeyStoreUnusable

log = structlog.get_logger(__name__)
_TASKS_SECONDS = 20.0
# A lane that returns from the client library waits so long for a thread that computes; Python's 5 ms are two sends.
_SWITCH_SECONDS = 0.0005


class SessionHolder(bootsteps.StartStopStep):
    holder: Any = None
    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, hold_sessions: bool = False, network: str | None = None, **options: Any) -> None:
        self.enabled = hold_sessions
        if not hold_sessions:
            return
        if not issubclass(worker.pool_cls, TaskPool):
            raise ImproperlyConfigured("A session worker needs -P threads: the engine does not survive a fork.")
        if network not in Network.values:
            raise ImproperlyConfigured(f"A session worker needs --network {' or '.join(Network.values)}.")
        self.node, self.network = worker.hostname, str(network)
        self.queue = f"session.{worker.hostname}"
        worker.app.amqp.queues.select([self.queue])

    def include_if(self, worker: Any) -> bool:
        return self.enabled

    def start(self, worker: Any) -> None:
        from instances.holding.holder import Holder

        try:
            keystores.prepare(self.network)
        except KeyStoreUnusable as error:
            raise ImproperlyConfigured(str(error)) from error
        sys.setswitchinterval(_SWITCH_SECONDS)
        current.holder = self.holder = Holder(self.node, self.network, self.queue)
        self.holder.start()
        log.info("holding", network=self.network, worker=self.holder.worker.id)

    def stop(self, worker: Any) -> None:
        # Celery stops what requires the pool before the pool has finished.
        deadline = time.monotonic() + _TASKS_SECONDS
        while state.active_requests and time.monotonic() < deadline:
            time.sleep(0.02)
        current.holder = None
        if self.holder:
            self.holder.stop()
