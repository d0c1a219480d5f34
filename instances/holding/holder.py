"""Holds numbers: claims them, keeps the leases, starts and ends their connections."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from importlib import import_module

import structlog
from django.conf import settings
from django.db import DatabaseError, connection

from config import metrics
from instances import commands, wakeup
from instances.holding import attachments, lease
from instances.holding.commands import Command
from instances.holding.connection import Connection
from instances.holding.handlers import HANDLERS, Release
from instances.holding.replaying import replay_abandoned
from instances.holding.writer import Writer, handlers
from instances.models import Instance
from instances.states import Wanted

log = structlog.get_logger(__name__)
_LOOK_SECONDS, _FIND_WORK_SECONDS = 1.0, 0.5  # so at every look
# When to look for what killed workers left on this disk; after the numbers claimed at the start have taken theirs.
_FIRST_REPLAY_SECONDS, _REPLAY_SECONDS = 5.0, 60.0
_MARGIN_SECONDS = 2.0  # before the lease's end we must be off the network


class Holder:
    """The numbers of one session worker. `start` and `stop` once; `wake` from any thread."""

    def __init__(self, name: str, network: str, queue: str) -> None:
        for module in attachments.modules:
            import_module(module)
        handlers.update(HANDLERS)
        self.worker = lease.register(name, network, queue)
        self._writer = Writer(self.worker.id)
        self._numbers: dict[str, Connection] = {}
        self._closing: dict[str, threading.Thread] = {}
        self._awake = threading.Event()
        self._stopping = threading.Event()
        self._renewed = time.monotonic()
        self._looked_for_work = 0.0
        self._thread = threading.Thread(target=self._run, name="holder", daemon=True)
        self._fence = threading.Thread(target=self._watch_lease, name="lease-fence", daemon=True)
        self._replays = threading.Thread(target=self._replay, name="replay", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._fence.start()
        self._replays.start()

    def wake(self, instance_ids: list[str]) -> None:
        """Look at these instances now; none means: look for numbers to claim."""
        for instance_id in instance_ids:
            if number := self._numbers.get(instance_id):
                number.wake()
        self._awake.set()

    def command(self, instance_id: str, command: Command) -> None:
        """Have a held number run a command; one that is not held here says so. From any thread, returns at once."""
        if number := self._numbers.get(instance_id):
            number.commands.put(command)
        else:
            commands.answer(command.call_id, commands.offline())

    def stop(self, seconds: float = 25.0) -> None:
        """Orderly end: no more claims, sends in flight finish, sockets close, what they held is written."""
        deadline = time.monotonic() + seconds
        self._stopping.set()
        self._awake.set()
        self._thread.join(5)
        numbers = list(self._numbers.values())
        endings = [threading.Thread(target=number.close, args=[deadline], daemon=True) for number in numbers]
        for ending in endings:
            ending.start()
        for ending in endings:
            ending.join(max(0.1, deadline - time.monotonic()))
        self._writer.close()
        network = self.worker.network
        lease.leave(self.worker)
        connection.close()
        wakeup.workers(network)

    # --- the holder's thread ----------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._awake.clear()
            try:
                self._look()
            except DatabaseError as error:
                log.warning("database_away", error=str(error).splitlines()[0])
            except Exception:
                log.exception("look_failed")  # without this thread the worker would live on and hold nothing
            finally:
                connection.close()
            self._awake.wait(_LOOK_SECONDS)

    def _look(self) -> None:
        started = time.monotonic()
        if started - self._renewed >= settings.LEASE_SECONDS / 3:
            for lost in lease.renew(self.worker, self._numbers):
                self._abandon(lost)
            self._renewed = started
        self._reap()
        self._follow_wishes()
        for instance in lease.claim(self.worker, len(self._numbers)):
            log.info("claimed", instance=instance.id, epoch=instance.epoch)
            number = self._numbers[instance.id] = Connection(instance, self._writer)
            number.start()
        if started - self._looked_for_work >= _FIND_WORK_SECONDS:
            self._find_work()
            self._looked_for_work = started

    def _reap(self) -> None:
        for instance_id, number in list(self._numbers.items()):
            if number.ended and instance_id not in self._closing:
                self._release(number)

    def _release(self, number: Connection) -> None:
        del self._numbers[number.instance_id]
        self._writer.submit(number.instance_id, number.epoch, Release())

    def _follow_wishes(self) -> None:
        """End what users stopped; pass on requests for pairing codes."""
        for instance_id, thread in list(self._closing.items()):
            if not thread.is_alive():
                del self._closing[instance_id]
                if number := self._numbers.get(instance_id):
                    self._release(number)
        rows = Instance.objects.filter(pk__in=list(self._numbers)).values_list("pk", "wanted", "link_phone")
        for instance_id, wanted, link_phone in rows:
            number = self._numbers[instance_id]
            if wanted == Wanted.STOPPED:
                self._close(number)
            elif link_phone:
                number.ask_pairing_code(link_phone)

    def _close(self, number: Connection) -> None:
        if number.instance_id not in self._closing:
            deadline = time.monotonic() + 20
            thread = threading.Thread(target=number.close, args=[deadline], daemon=True)
            self._closing[number.instance_id] = thread
            thread.start()

    def _abandon(self, instance_id: str) -> None:
        if number := self._numbers.pop(instance_id, None):
            log.warning("lease_lost", instance=instance_id)
            metrics.LEASES_LOST.inc()
            threading.Thread(target=number.abandon, daemon=True).start()

    def _find_work(self) -> None:
        ids = list(self._numbers)
        found: Iterable[str] = {one for find in attachments.find_work for one in find(ids)} if ids else ()
        for instance_id in found:
            if number := self._numbers.get(instance_id):
                number.wake()

    def _replay(self) -> None:
        pause = _FIRST_REPLAY_SECONDS
        while not self._stopping.wait(pause):
            pause = _REPLAY_SECONDS
            try:
                replay_abandoned(self._writer)
            except Exception:
                log.exception("replay_failed")

    # --- the fence --------------------------------------------------------------------------

    def _watch_lease(self) -> None:
        """Leave the network before the leases run out, even when the database never answers."""
        while not self._stopping.wait(0.5):
            if time.monotonic() - self._renewed > settings.LEASE_SECONDS - _MARGIN_SECONDS:
                for instance_id in list(self._numbers):
                    self._abandon(instance_id)
