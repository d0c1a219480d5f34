"""``make bench``: starts the product, measures it row by row, prints the table and writes it as JSON."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator

from benchmarks import accept, alone, events, fanout, finding, fleet, lane, memory, numbers, receive
from benchmarks.client import LoadError
from benchmarks.options import DATABASES, Options, parse
from benchmarks.product import Product
from benchmarks.report import Row, head, table, write
from stack.testing import RunningStack

# The messages before the memory: the session worker is started anew in between.
PARTS: dict[str, Callable[[Product, Options], Iterator[Row]]] = {
    "accept": accept.measure,
    "lane": lane.measure,
    "receive": receive.measure,
    "events": events.measure,
    "fanout": fanout.measure,
    "memory": memory.measure,
    "numbers": numbers.measure,
    "alone": alone.measure,
    "finding": finding.measure,
}


def measure(options: Options) -> list[Row]:
    """All rows, from products started for them alone and removed afterwards. Raises LoadError."""
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:6.1f} s  {text}", file=sys.stderr, flush=True)

    rows: list[Row] = []
    if any(part in PARTS for part in options.parts):
        rows += _measure_one(options, say)
    if "fleet" in options.parts:
        for row in fleet.measure(options):
            say(row.name)
            rows.append(row)
    say("done")
    return rows


def _measure_one(options: Options, say: Callable[[str], None]) -> Iterator[Row]:
    say("starting the product")
    environ = {"DATABASE_URL": DATABASES[options.database], "SOCKETS_PER_ORGANIZATION": "1000000"}
    with RunningStack(environ) as stack:
        product = Product(stack)
        try:
            product.lift_limits()
            say("linking a number")
            product.link_first()
            for part in options.parts:
                for row in PARTS[part](product, options) if part in PARTS else ():
                    say(row.name)
                    yield row
        finally:
            product.close()


def main(argv: list[str]) -> int:
    """0 when everything was measured; 1 when something did not work, with no table: half a table misleads."""
    options = parse(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    about = head(options.database)
    try:
        rows = measure(options)
    except (LoadError, AssertionError) as error:  # the latter is how RunningStack says that it did not start
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    print(table(about, rows))
    write(options.output, about, options.sizes, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
