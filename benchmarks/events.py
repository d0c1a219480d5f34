"""How long events take from their insertion to a webhook's receiver, and how many one task worker delivers."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import orjson

from benchmarks.client import LoadError
from benchmarks.options import Options
from benchmarks.product import LONGEST_SECONDS, Product
from benchmarks.report import Row, milliseconds
from stack.paths import PROJECT

_RATE = 200
_SECONDS = 10
_FLOOD = 6_000
_TOGETHER = 20  # events in one transaction of a flood, as the writers of session workers have them


def measure(product: Product, options: Options) -> Iterator[Row]:
    """An idle product first, then a steady stream of events, then more than it can deliver at once."""
    idle = _latencies(product, options.events, per_second=5)
    name = "an event's insertion to its webhook, idle"
    yield Row("events.idle", name, _mean(idle), "ms mean", **milliseconds(idle), note=f"{len(idle)} events")
    busy = _latencies(product, min(_RATE * _SECONDS, options.events * 20), per_second=_RATE)
    name = f"the same at {_RATE} events a second"
    yield Row("events.steady", name, _mean(busy), "ms mean", **milliseconds(busy), note=f"{len(busy)} events")
    count = min(_FLOOD, options.events * 60)
    received = _received(product, count, 0, _TOGETHER)
    seconds = received[-1][1] - received[0][1]
    note = f"{count} events of 100 chats to one endpoint on loopback"
    yield Row("events.deliveries", "deliveries of one task worker", (count - 1) / seconds, "/s", note=note)
    yield from _neighbours(product, min(20, max(3, options.events // 5)))


def _neighbours(product: Product, seconds: int) -> Iterator[Row]:
    command = [sys.executable, "-m", "benchmarks.neighbours", str(seconds)]
    done = subprocess.run(
        command, cwd=PROJECT, env=product.stack.environ, capture_output=True, text=True, check=False, timeout=300
    )
    if done.returncode:
        raise LoadError(f"the neighbours were not measured: {done.stderr[-500:]}")
    found = json.loads(done.stdout)
    for name, note in (
        ("before", "50 good receivers of two organizations"),
        ("during", "3 of 50 bad: 14 s, down, 10 MB"),
    ):
        took = found[name]
        title = f"an event to each of 47 receivers, {name}"
        yield Row(f"events.{name}", title, _mean(took), "ms mean", **milliseconds(took), note=note)


def _mean(seconds: list[float]) -> float:
    return sum(seconds) / len(seconds) * 1000


def _latencies(product: Product, count: int, per_second: int) -> list[float]:
    return [arrived - inserted for inserted, arrived in _received(product, count, per_second, 1)]


def _received(product: Product, count: int, per_second: int, together: int) -> list[tuple[float, float]]:
    """Emit events and return, in the order of arrival, when each was inserted and arrived. Raises LoadError."""
    with _receiver(count) as receiver:
        url = f"http://127.0.0.1:{receiver['port']}/hook"
        body = {"url": url, "events": ["message.received"], "instances": [product.instance]}
        endpoint = product.api("POST", "/api/webhooks", json=body)["id"]
        sizes = [str(count), str(per_second), str(together)]
        command = [sys.executable, "-m", "benchmarks.emitting", product.instance, *sizes]
        try:
            subprocess.run(command, cwd=PROJECT, env=product.stack.environ, check=True, timeout=LONGEST_SECONDS)
            out, _ = receiver["popen"].communicate(timeout=LONGEST_SECONDS)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise LoadError(f"not all of {count} events reached their receiver: {error}") from error
        finally:
            product.api("DELETE", f"/api/webhooks/{endpoint}")
    return [(one[0], one[1]) for one in json.loads(out)]


@contextlib.contextmanager
def _receiver(count: int) -> Iterator[dict[str, Any]]:
    popen = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.receiving", str(count)], cwd=PROJECT, stdout=subprocess.PIPE
    )
    try:
        assert popen.stdout is not None
        yield {"popen": popen, "port": orjson.loads(popen.stdout.readline())["port"]}
    finally:
        popen.kill()
        popen.wait()
