"""How fast a full lane empties, beside a bare loop over the client library: in turn, in the same network."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.client import LoadError
from benchmarks.options import Options
from benchmarks.product import LONGEST_SECONDS, Product, wait_until
from benchmarks.report import PROJECT, Row, milliseconds


def measure(product: Product, options: Options) -> Iterator[Row]:
    """A lane filled while the network is silent; a loop of neonize's own ``send_message``; the ratio of both."""
    connections = max(options.connections)
    with BareLoop(product) as loop:
        near = _Rounds(product, loop, options.rounds, options.messages, connections)
        with product.distant_network(options.distance):
            far = _Rounds(product, loop, options.rounds, max(1, options.messages // 4), connections)
    latencies = [latency for posted in near.posted for latency in posted.load.latencies]
    yield Row(
        f"accept.silent.{connections}",
        f"POST /api/messages, {connections} connections, lane waiting",
        statistics.median(posted.load.per_second for posted in near.posted),
        "req/s",
        **milliseconds(latencies),
        note="the network is silent, so nothing else writes",
    )
    yield from near.rows("", "")
    yield from far.rows(".distant", f", network {options.distance * 1000:.0f} ms away")


class _Rounds:
    """The lane and the loop in turn, so that a change of the machine's mood meets both."""

    def __init__(self, product: Product, loop: BareLoop, rounds: int, messages: int, connections: int) -> None:
        self.posted: list[Any] = []
        self._drained: list[float] = []
        self._bare: list[float] = []
        for _ in range(rounds):
            posted, rate = _fill_and_drain(product, messages, connections)
            self.posted.append(posted)
            self._drained.append(rate)
            self._bare.append(messages / loop.send(messages))

    def rows(self, key: str, where: str) -> Iterator[Row]:
        yield _rates(f"number.drain{key}", f"one number, full lane to acknowledged{where}", self._drained)
        yield _rates(f"bare.loop{key}", f"neonize's send_message in a bare loop{where}", self._bare)
        ratio = statistics.median(self._drained) / statistics.median(self._bare)
        note = "medians of the rounds, taken in turn"
        yield Row(f"number.ratio{key}", f"full lane / bare loop{where}", ratio, "ratio", note=note)


def _rates(key: str, name: str, rates: list[float]) -> Row:
    rounds = ", ".join(f"{rate:.0f}" for rate in rates)
    return Row(key, name, statistics.median(rates), "msg/s", note=f"rounds: {rounds}")


def _fill_and_drain(product: Product, messages: int, connections: int) -> tuple[Any, float]:
    """Fill the lane behind a message that gets no acknowledgement; returns what was posted and messages a second."""
    with product.silent_network():
        first = product.post_message("holds the lane")
        wait_until(lambda: product.status(first) == "sending", "the beginning of a send", every=0.02)
        posted = product.post(messages, connections)
        started = time.perf_counter()
    seconds = product.wait_for_acknowledgements([first, *posted.ids]) - started
    return posted, (messages + 1) / seconds


class BareLoop:
    """A process with the client library alone (benchmarks/bare_loop.py), linked to a number of its own."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self._folder = Path(tempfile.mkdtemp(prefix="whatsapp-api-bench-"))
        overlay = json.loads(product.sandbox_ready.read_text())["env"]
        path = os.pathsep.join(filter(None, (overlay["PYTHONPATH"], os.environ.get("PYTHONPATH", ""))))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.bare_loop", str(self._folder / "store.db")],
            cwd=PROJECT,
            env=os.environ | overlay | {"PYTHONPATH": path, "NEONIZE_BOT_TAG": "off"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> BareLoop:
        try:
            self._product.control("scan", phone=self._product.new_phone(), qr=self._answer("qr"))
            self._answer("connected")
            self.send(1)  # both sides have met, as in the lane
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def send(self, messages: int) -> float:
        """Send so many messages to the receiver, one after another; returns the seconds it took."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"to": self._product.receiver, "messages": messages}) + "\n")
        self._process.stdin.flush()
        return float(self._answer("seconds"))

    def _answer(self, name: str) -> Any:
        """The next line that says `name`. Raises LoadError when the process fails or takes too long."""
        assert self._process.stdout is not None
        watchdog = threading.Timer(LONGEST_SECONDS, self._process.kill)
        watchdog.start()
        try:
            for line in self._process.stdout:
                said: dict[str, Any] = json.loads(line)
                if "error" in said:
                    raise LoadError(f"the bare loop failed: {said['error']}")
                if name in said:
                    return said[name]
        finally:
            watchdog.cancel()
        raise LoadError(f"the bare loop ended without saying {name!r}")
