"""How fast several numbers send at once, on one session worker."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.options import Options
from benchmarks.product import Product
from benchmarks.report import Row

BATCH = 100


def measure(product: Product, options: Options) -> Iterator[Row]:
    """The same messages by batch over ever more numbers: their lanes are filled while the network is silent."""
    for count in options.sending:
        yield _row(product, count, 4 * options.messages, "", "")
    with product.distant_network(options.distance):
        for count in options.sending:
            where = f", network {options.distance * 1000:.0f} ms away"
            yield _row(product, count, options.messages, ".distant", where)


def _row(product: Product, count: int, messages: int, key: str, where: str) -> Row:
    product.add_numbers(max(0, count - product.connected()))
    numbers = product.instances(count)
    product.wait_for_lanes([product.post_message("hello", instance) for instance in numbers])
    with product.silent_network():
        ids = product.post_over(numbers, messages, BATCH)
        spent = product.cpu_seconds()
        started = time.perf_counter()
    seconds = product.wait_for_lanes(ids) - started
    after = product.cpu_seconds()
    cores = sum(after[name] - spent[name] for name in after) / seconds
    return Row(
        f"numbers.sending{key}.{count}",
        f"{count} number{'s' if count > 1 else ''} at once, full lanes to acknowledged{where}",
        len(ids) / seconds,
        "msg/s",
        note=f"{len(ids)} messages; all processes of the product kept {cores:.1f} cores busy",
    )
