"""How fast messages are accepted while nothing else happens, what a request costs, and batches."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.options import Options
from benchmarks.product import Posted, Product
from benchmarks.report import Row, milliseconds

BATCH = 100
BATCH_CONNECTIONS = 8


def measure(product: Product, options: Options) -> Iterator[Row]:
    """Runs last: what it leaves in the lane is never sent."""
    with product.silent_network():
        product.post_message("holds the lane")
        for connections in options.connections:
            cpu = product.cpu_seconds()
            posted = product.post(4 * options.messages, connections)
            unit = f"{connections} connection{'s' if connections > 1 else ''}"
            name = f"POST /api/messages, {unit}, nothing else"
            yield Row(
                f"accept.alone.{connections}",
                name,
                posted.load.per_second,
                "req/s",
                **milliseconds(posted.load.latencies),
                note=_costs(product, cpu, len(posted.ids)),
            )
        yield _per_core(product, cpu, posted)
        cpu = product.cpu_seconds()
        batches = max(BATCH_CONNECTIONS, 4 * options.messages // 10)
        load = product.post_batches(batches, BATCH, BATCH_CONNECTIONS)
        yield Row(
            "accept.batch",
            f"POST /api/messages/batch of {BATCH}, {BATCH_CONNECTIONS} connections, nothing else",
            load.per_second * BATCH,
            "msg/s",
            **milliseconds(load.latencies),
            note=_costs(product, cpu, batches),
        )


def _costs(product: Product, before: dict[str, float], requests: int) -> str:
    """The processor time of a request, by process."""
    after = product.cpu_seconds()
    spent = {name: (after[name] - before[name]) / requests * 1000 for name in after}
    parts = [f"{name} {ms:.2f}" for name, ms in sorted(spent.items(), key=lambda one: -one[1]) if ms >= 0.05]
    return f"processor time of a request, ms: {', '.join(parts)}"


def _per_core(product: Product, before: dict[str, float], posted: Posted) -> Row:
    spent = sum(product.cpu_seconds().values()) - sum(before.values())
    name = "POST /api/messages per second of one core, all processes of the product together"
    return Row("accept.per_core", name, len(posted.ids) / spent, "req/s", note="at the most connections")
