"""Holds numbers: claims them, keeps the leases, starts and ends their connections."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from importlib import import_module

import structlog
from django.conf import settings
from django.db import DatabaseError, connection

from config import metrics
from instances import commands, keystores, wakeup
from instances.holding import attachments, deaths, lease
from instances.holding.balance import Balance
from instances.holding.commands import Command
from instances.holding.connection import Connection
from instances.holding.ending import end_all
from instances.holding.fence import Fence, clock
from instances.holding.handlers import HANDLERS, Release
from instances.holding.keywatch import KEYS
from instances.holding.load import Meter, allow_descriptors, leaked
from instances.holding.replaying import replay_abandoned
from instances.holding.writer import Writer, handlers
from instances.models import Instance, Worker
from instances.states import Wanted
from instances.whatsapp.client import store_away

log = structlog.get_logger(__name__)
_LOOK_SECONDS, _FIND_WORK_SECONDS = 1.0, 0.5  # so at every look
_TEND_SECONDS = 0.8  # what need not be done at each of many wake-ups
_FENCE_SECONDS = 0.1
# When to look for what killed workers left on this disk; after the numbers claimed at the start have taken theirs.
_FIRST_REPLAY_SECONDS, _REPLAY_SECONDS = 5.0, 60.0
_CLOSE_SECONDS = 20.0
_LEAST_LEASES = 4  # that a worker lives before it is replaced: its successor would leak the same at its start


class Holder:
    """The numbers of one session worker. `start` and `stop` once; `wake` from any thread."""

    def __init__(self, name: str, network: str, queue: str) -> None:
        for module in attachments.modules:
            import_module(module)
        handlers.update(HANDLERS)
        allow_descriptors()
        self.worker = lease.register(name, network, queue)
        self._writer = Writer(self.worker.id)
        self._meter = Meter()
        self._balance = Balance(self.worker)
        self._numbers: dict[str, Connection] = {}
        self._closing: dict[str, threading.Thread] = {}
        self._leaving: dict[str, threading.Thread] = {}  # not ours any more, and perhaps not off the network yet
        self._awake = threading.Event()
        self._stopping = threading.Event()
        self._stopped = threading.Event()
        self._started = self._renewed = clock()
        self._tended = self._looked_for_work = 0.0
        self._unclaimed_since: float | None = None
        self._thread = threading.Thread(target=self._run, name="holder", daemon=True)
        self._fence = threading.Thread(target=self._watch_leases, name="lease-fence", daemon=True)
        self._replays = threading.Thread(target=self._replay, name="replay", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._fence.start()
        self._replays.start()
        if settings.KEY_STORE_URLS[self.worker.network]:
            store_away.append(KEYS.suspect)
            KEYS.start(keystores.database_of(self.worker.network), lambda: list(self._numbers.values()))

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
        """Orderly end: no more claims, sends in flight finish, sockets close, what they held is written.

        Each number is free for others as soon as it is closed; the leases of those that take longer are renewed.
        """
        self._stopping.set()
        self._awake.set()
        self._thread.join(5)
        end_all(self.worker, self._numbers, self._closing, self._renew_if_due, self._release, seconds)
        self._writer.close()
        self._stopped.set()
        KEYS.stop()
        network = self.worker.network
        lease.leave(self.worker)
        connection.close()
        wakeup.workers(network)
        wakeup.flush(1.0)

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
        self._renew_if_due()
        self._reap()
        self._follow_wishes()
        now = clock()
        if tend := now - self._tended >= _TEND_SECONDS:
            self._tended = now
            deaths.settle(self.worker.network, self.worker)
        self._claim()
        if tend:
            self._tend()
        if now - self._looked_for_work >= _FIND_WORK_SECONDS:
            self._find_work()
            self._looked_for_work = now

    def _renew_if_due(self) -> None:
        asked_at = clock()
        if asked_at - self._renewed < settings.LEASE_SECONDS / 3:
            return
        load = self._meter.read()
        held = list(self._numbers)
        renewal = lease.renew(self.worker, held, load)
        for instance_id in renewal.extended:
            if number := self._numbers.get(instance_id):
                number.fence.renewed(asked_at)
        for lost in renewal.lost:
            self._abandon(lost)
        self._renewed = asked_at
        if set(held) - renewal.extended - renewal.lost:
            self._renewed -= settings.LEASE_SECONDS / 3 - _LOOK_SECONDS  # those that were locked, at the next look
        if asked_at - self._started > _LEAST_LEASES * settings.LEASE_SECONDS and not self._stopping.is_set():
            self._recycle(leaked(load, len(self._numbers)))

    def _recycle(self, reason: str) -> None:
        """End in order, for a supervisor to start a new process; one worker of a network at a time."""
        network = Worker.objects.filter(network=self.worker.network)
        if reason and not network.live().exclude(draining_since=None).exists():
            log.warning("recycled", reason=reason)
            metrics.WORKERS_RECYCLED.inc()
            lease.drain(self.worker)
            os.kill(os.getpid(), signal.SIGTERM)

    def _reap(self) -> None:
        for instance_id, number in list(self._numbers.items()):
            if number.ended and instance_id not in self._closing:
                self._release(number)
        if gone := [instance_id for instance_id, thread in self._leaving.items() if not thread.is_alive()]:
            lease.prove(self.worker, [], gone)  # whatever became of them, they did not take this worker down
            for instance_id in gone:
                del self._leaving[instance_id]

    def _release(self, number: Connection) -> None:
        self._numbers.pop(number.instance_id, None)
        released = self._writer.submit(number.instance_id, number.epoch, Release())
        released.add_done_callback(lambda _: wakeup.workers(number.network))

    def _follow_wishes(self) -> None:
        """End what users stopped, restarted or logged out; pass on requests for pairing codes."""
        for instance_id, thread in list(self._closing.items()):
            if not thread.is_alive():
                del self._closing[instance_id]
                if number := self._numbers.get(instance_id):
                    self._release(number)
        rows = Instance.objects.filter(pk__in=list(self._numbers)).values_list("pk", "wanted", "restarts", "link_phone")
        for instance_id, wanted, restarts, link_phone in rows:
            if (number := self._numbers.get(instance_id)) is None:
                continue
            if wanted == Wanted.LOGGED_OUT:
                self._close(number, number.unlink)
            elif wanted == Wanted.STOPPED or restarts != number.restarts:
                self._close(number, number.close)
            elif link_phone:
                number.ask_pairing_code(link_phone)

    def _close(self, number: Connection, close: Callable[[float], None]) -> None:
        if number.instance_id not in self._closing:
            deadline = time.monotonic() + _CLOSE_SECONDS
            thread = threading.Thread(target=close, args=[deadline], daemon=True)
            self._closing[number.instance_id] = thread
            thread.start()

    def _claim(self) -> None:
        asked_at = clock()
        on_trial = [one.probation.crashes for one in list(self._numbers.values()) if one.probation.lasts]
        waited = asked_at - self._unclaimed_since if self._unclaimed_since is not None else 0.0
        claimed = lease.claim(
            self.worker,
            len(self._numbers),
            on_trial=on_trial,
            but={*self._numbers, *self._leaving},
            all_there_is=waited > settings.LEASE_SECONDS,  # whose share they are does not take them
        )
        for instance in claimed:
            log.info("claimed", instance=instance.id, epoch=instance.epoch)
            number = self._numbers[instance.id] = Connection(instance, self._writer, Fence(asked_at))
            number.start()

    def _tend(self) -> None:
        """What is done about once a second: probations, deaf connections, and the balance between workers."""
        numbers = list(self._numbers.values())
        verdicts = {number.instance_id: number.probation.verdict() for number in numbers}
        online = [instance_id for instance_id, verdict in verdicts.items() if verdict == "online"]
        ended = [instance_id for instance_id, verdict in verdicts.items() if verdict == "ended"]
        lease.prove(self.worker, online, ended)
        for number in numbers:
            number.watchdog.look()
        if not lease.unclaimed(self.worker.network):
            self._unclaimed_since = None
        elif self._unclaimed_since is None:
            self._unclaimed_since = clock()
        for number in self._balance.to_give(numbers, self._closing):
            log.info("given_away", instance=number.instance_id)
            metrics.NUMBERS_GIVEN.inc()
            self._close(number, number.close)

    def _abandon(self, instance_id: str) -> None:
        if number := self._numbers.get(instance_id):
            log.warning("lease_lost", instance=instance_id)
            metrics.LEASES_LOST.inc()
            thread = threading.Thread(target=number.abandon, daemon=True)
            thread.start()
            self._leaving[instance_id] = thread  # before it is none of ours, so that it is not claimed meanwhile
            self._numbers.pop(instance_id, None)

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

    def _watch_leases(self) -> None:
        """Leave the network before the leases run out, even when the database never answers."""
        while not self._stopped.wait(_FENCE_SECONDS):
            fallen = [number for number in list(self._numbers.values()) if not number.fence.holds]
            for number in fallen:  # first of all: a library that was frozen with us may connect again at once
                number.cut()
            for number in fallen:
                self._abandon(number.instance_id)
