"""How fast messages are accepted, and when the server has acknowledged the last of them."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.client import Load, load, request_bytes
from benchmarks.options import Options
from benchmarks.product import Product
from benchmarks.report import Row, milliseconds


def measure(product: Product, options: Options) -> Iterator[Row]:
    """POST /api/messages while the number's lane sends what is accepted, beside GET /livez over the same path."""
    nothing = request_bytes(product.stack.address, "GET", "/livez")
    for connections in options.connections:
        idle = load(product.stack.address, [nothing] * options.messages, connections=connections, status=200)
        accepted = product.post(options.messages, connections)
        acknowledged = product.wait_for_acknowledgements(accepted.ids)
        unit = f"{connections} connection{'s' if connections > 1 else ''}"
        name = f"POST /api/messages, {unit}, lane sending"
        yield accept_row(f"accept.sending.{connections}", name, accepted.load, idle)
        if connections == max(options.connections):
            seconds = acknowledged - accepted.load.first_answer
            yield Row(
                "number.flow",
                f"one number, {unit} in, accepted to acknowledged",
                len(accepted.ids) / seconds,
                "msg/s",
                note=f"first 202 to last acknowledgement: {seconds:.2f} s",
            )


def accept_row(key: str, name: str, accepted: Load, idle: Load) -> Row:
    """What the generator saw, beside what it sees of a request that does nothing."""
    cpu = accepted.cpu_seconds / accepted.seconds
    note = f"GET /livez: {idle.per_second:,.0f}/s, ratio {accepted.per_second / idle.per_second:.2f};"
    note += f" the generator took {cpu:.0%} of a core"
    return Row(key, name, accepted.per_second, "req/s", **milliseconds(accepted.latencies), note=note)
