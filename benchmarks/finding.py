"""How long it takes to find messages, in a ledger that grows: lists, filters and search, over HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.filling import queries
from benchmarks.options import Options
from benchmarks.product import Product
from benchmarks.report import PROJECT, Row, milliseconds

_TIMES = 30


def measure(product: Product, options: Options) -> Iterator[Row]:
    """Runs after everything else, and only when sizes are asked for: a million rows take minutes to make."""
    for rows in options.finding:
        _run(product, product.instance, str(rows))
        plans = json.loads(_run(product, product.instance))
        for name, query in queries(product.instance).items():
            seconds = [_timed(product, "/api/messages", query) for _ in range(_TIMES)]
            yield _row(f"{name}, {rows:,} messages", rows, name, seconds, f"by {', '.join(plans[name])}")


def _row(name: str, rows: int, key: str, seconds: list[float], note: str) -> Row:
    figures = milliseconds(seconds)
    slug = key.replace(" ", "_").replace(",", "")
    return Row(f"find.{slug}.{rows}", f"GET /api/messages: {name}", figures["p50_ms"], "ms", **figures, note=note)


def _timed(product: Product, path: str, query: dict[str, str]) -> float:
    started = time.perf_counter()
    product.api("GET", path, params=query)
    return time.perf_counter() - started


def _run(product: Product, *arguments: str) -> str:
    command = [sys.executable, "-m", "benchmarks.filling", *arguments]
    done = subprocess.run(
        command, cwd=PROJECT, env=product.stack.environ, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout
