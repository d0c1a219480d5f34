"""What a connected number costs the session worker in memory."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.options import Options
from benchmarks.product import Product
from benchmarks.report import Row


def measure(product: Product, options: Options) -> Iterator[Row]:
    """RSS of a worker started anew at each count of numbers, linked through the REST API, and once more restarted."""
    product.restart_session_worker()  # without what the load before has left in its memory
    weights: list[tuple[int, float]] = []
    for count in options.numbers:
        missing, started = count - product.connected(), time.perf_counter()
        product.add_numbers(missing)
        seconds = time.perf_counter() - started
        megabytes, threads = product.memory()
        weights.append((count, megabytes))
        note = f"{threads} threads" + (f"; {missing} links took {seconds:.1f} s" if missing else "")
        yield Row(f"memory.{count}", f"session worker's RSS, {count} connected", megabytes, "MB", note=note)
    if len(weights) > 1:
        (few, light), (many, heavy) = weights[0], weights[-1]
        slope = (heavy - light) / (many - few)
        yield Row("memory.slope", "RSS of one more number", slope, "MB", note=f"from {few} to {many} numbers")
        seconds = product.restart_session_worker()
        megabytes, threads = product.memory()
        note = f"{threads} threads; SIGTERM to {many} connected again: {seconds:.1f} s"
        yield Row("memory.restarted", f"session worker's RSS, {many} connected, restarted", megabytes, "MB", note=note)
