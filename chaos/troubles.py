"""What happens to the product and its network, one thing after another, as the dice of a seed have it."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence

import redis

from benchmarks.product import Product
from chaos.reckoning import Freeze
from chaos.traffic import Number

BACK_SECONDS = 90.0  # a process that died runs again within
_HARD, _SOFT = signal.SIGKILL, signal.SIGTERM
# How a panic of the client library's Go runtime ends a process.
_PANIC = signal.SIGABRT


class Troubles:
    """``one()`` makes one trouble; ``heal()`` ends what lasts. ``made`` counts them, ``freezes`` and ``hard_kills``
    are for the reckoning."""

    def __init__(self, product: Product, numbers: Sequence[Number], workers: int, freeze: float, seed: int) -> None:
        self.product, self.stack, self.numbers, self.freeze_seconds = product, product.stack, numbers, freeze
        self.dice = random.Random(seed)
        self.workers = [f"sessions-sandbox-{number}" for number in range(1, workers + 1)]
        self.made: Counter[str] = Counter()
        self.freezes: list[Freeze] = []
        self.hard_kills = 0
        self._kinds: list[tuple[str, Callable[[], None]]] = [
            ("session worker killed", self._kill_worker),
            ("session worker's Go runtime panics", self._panic),
            ("session worker ended in order", self._end_worker),
            ("session worker frozen", self._freeze),
            ("web server killed", lambda: self._signal("web", _HARD)),
            ("web server ended in order", lambda: self._signal("web", _SOFT)),
            ("task worker killed", lambda: self._signal("tasks", _HARD)),
            ("task worker ended in order", lambda: self._signal("tasks", _SOFT)),
            ("beat killed", lambda: self._signal("beat", _HARD)),
            ("Valkey killed", lambda: self._signal("valkey", _HARD)),
            ("Valkey flushed", self._flush),
            ("PostgreSQL killed", lambda: self._signal("postgres", _HARD)),
            ("PostgreSQL restarted", lambda: self._signal("postgres", signal.SIGINT)),
            ("connections dropped", self._drop),
            ("network silent for a number", self._mute),
            ("stream errors", self._stream_errors),
            ("acknowledgements lost", lambda: self._fault("drop_acks", 2)),
            ("cut before the acknowledgement", lambda: self._fault("cut_before_ack", 2)),
            ("cut before the delivery", lambda: self._fault("cut_before_delivery", 2)),
            ("503 at connect", self._refuse_connects),
        ]
        self._waiting: list[tuple[str, Callable[[], None]]] = []

    def one(self) -> str:
        """Make the next trouble: each kind once, in the order of the dice, then again. Returns its name."""
        if not self._waiting:
            self._waiting = self.dice.sample(self._kinds, len(self._kinds))
        name, make = self._waiting.pop()
        make()
        self.made[name] += 1
        return name

    def heal(self) -> None:
        """No fault of the network lasts."""
        self.product.control("faults", http_error=0)
        for number in self.numbers:
            self._faults(number, mute=False, drop_acks=0, cut_before_ack=0, cut_before_delivery=0)

    # --- processes --------------------------------------------------------------------------

    def _signal(self, name: str, number: signal.Signals) -> None:
        """Send it to a process that it ends, and wait until that runs again."""
        self.stack.wait_for_restart(name, self._hit(name, number), BACK_SECONDS)

    def _hit(self, name: str, number: signal.Signals) -> int:
        """Send it to a process as soon as that runs: one that began without its database is started anew by and by.

        Returns its pid. Raises AssertionError.
        """
        deadline = time.monotonic() + BACK_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(AssertionError, ProcessLookupError):
                return self.stack.kill(name, number)
            time.sleep(0.1)
        raise AssertionError(f"{name} does not run again:\n{self.stack.output()}")

    def _kill_worker(self) -> None:
        self.hard_kills += 1
        self._signal(self.dice.choice(self.workers), _HARD)

    def _panic(self) -> None:
        self.hard_kills += 1
        self._signal(self.dice.choice(self.workers), _PANIC)

    def _end_worker(self) -> None:
        self._signal(self.dice.choice(self.workers), _SOFT)

    def _freeze(self) -> None:
        """For longer than a lease: others take its numbers, and it cannot know until it goes on."""
        pid = self._hit(self.dice.choice(self.workers), signal.SIGSTOP)
        since = time.time()
        try:
            time.sleep(self.freeze_seconds)
        finally:
            os.kill(pid, signal.SIGCONT)
        self.freezes.append(Freeze(since, time.time()))

    def _flush(self) -> None:
        with redis.Redis.from_url(self.stack.environ["REDIS_URL"]) as valkey:
            valkey.flushall()

    # --- the network ------------------------------------------------------------------------

    def _some(self) -> list[Number]:
        return self.dice.sample(self.numbers, max(1, len(self.numbers) // 5))

    def _faults(self, number: Number, **faults: object) -> None:
        self.product.control("faults", phone=number.phone, **faults)

    def _fault(self, name: str, value: int) -> None:
        for number in self._some():
            self._faults(number, **{name: value})

    def _drop(self) -> None:
        for number in self._some():
            self.product.control("drop", phone=number.phone)

    def _mute(self) -> None:
        number = self.dice.choice(self.numbers)
        self._faults(number, mute=True)
        time.sleep(5)
        self._faults(number, mute=False)

    def _stream_errors(self) -> None:
        for number, code in zip(self._some(), (503, 515) * len(self.numbers), strict=False):
            self.product.control("stream_error", phone=number.phone, code=code)

    def _refuse_connects(self) -> None:
        self.product.control("faults", http_error=503)
        try:
            self._drop()
            time.sleep(3)
        finally:
            self.product.control("faults", http_error=0)
