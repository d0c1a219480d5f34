"""The sizes of a run, from the command line."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

DATABASES = {"sqlite": "", "postgres": "embedded"}  # as DATABASE_URL for the stack
PARTS = ("accept", "lane", "receive", "events", "fanout", "memory", "numbers", "alone", "finding", "fleet")
_QUICK = {"messages": 60, "events": 10, "rounds": 1, "numbers": (1, 4), "sending": (1, 3), "listeners": (50,)}


@dataclass(frozen=True)
class Options:
    """``numbers`` are ascending counts of connected numbers, beginning with 1."""

    output: Path
    database: str
    connections: tuple[int, ...]
    messages: int
    events: int
    rounds: int
    numbers: tuple[int, ...]
    sending: tuple[int, ...]
    listeners: tuple[int, ...]
    distance: float
    finding: tuple[int, ...]
    fleet: int
    reconnects: int
    parts: tuple[str, ...]

    @property
    def sizes(self) -> dict[str, Any]:
        """What the figures depend on, for the JSON."""
        return {name: value for name, value in asdict(self).items() if name not in ("output", "database", "parts")}


def parse(argv: list[str]) -> Options:
    """Ends the process with a usage message for arguments that cannot be."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Starts the product in a temporary folder, measures it, prints one table, removes everything.",
    )
    parser.add_argument(
        "output", nargs="?", type=Path, default=Path("var/bench.json"), help="the JSON file (default %(default)s)"
    )
    parser.add_argument("--stack", choices=list(DATABASES), default="sqlite", help="the database (default %(default)s)")
    parser.add_argument("--quick", action="store_true", help="small sizes: does everything work, in seconds")
    parser.add_argument("--connections", type=_counts, default=(1, 16), help="of the load generator (default 1,16)")
    parser.add_argument("--messages", type=_count, help="accepted, and queued, in each run (default 500)")
    parser.add_argument("--events", type=_count, help="until the webhook, and until the frames (default 100)")
    parser.add_argument("--rounds", type=_count, help="full lane and bare loop in turn; medians count (default 3)")
    parser.add_argument("--numbers", type=_counts, help="connected numbers to weigh (default 1,20,100)")
    parser.add_argument("--sending", type=_counts, help="numbers that send at once (default 1,5,20)")
    parser.add_argument("--listeners", type=_counts, help="WebSockets that hear each event (default 1000)")
    parser.add_argument(
        "--distance", type=float, default=0.02, help="seconds a distant network takes to answer (default %(default)s)"
    )
    parser.add_argument(
        "--finding", type=_counts, default=(), help="messages in the ledger to be found in, such as 10000,1000000"
    )
    parser.add_argument("--fleet", type=_count, default=0, help="numbers on three session workers, such as 300")
    parser.add_argument("--reconnects", type=_count, default=0, help="of one session worker, such as 2000")
    parser.add_argument("--parts", type=_parts, default=PARTS, help=f"only these (default {','.join(PARTS)})")
    given = parser.parse_args(argv)
    sizes: dict[str, Any] = {
        "messages": 500,
        "events": 100,
        "rounds": 3,
        "numbers": (1, 20, 100),
        "sending": (1, 5, 20),
        "listeners": (1000,),
    }
    if given.quick:
        sizes |= _QUICK
    sizes |= {name: value for name in sizes if (value := getattr(given, name)) is not None}
    if sizes["numbers"][0] != 1:
        sizes["numbers"] = (1, *sizes["numbers"])
    more = {
        name: getattr(given, name) for name in ("connections", "distance", "finding", "fleet", "reconnects", "parts")
    }
    return Options(given.output, given.stack, **more, **sizes)


def _parts(text: str) -> tuple[str, ...]:
    if unknown := set(text.split(",")) - set(PARTS):
        raise argparse.ArgumentTypeError(f"there is no part {', '.join(sorted(unknown))}")
    return tuple(part for part in PARTS if part in text.split(","))


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 1_000_000):
        raise argparse.ArgumentTypeError(f"{text!r} is not a count above zero")
    return int(text)


def _counts(text: str) -> tuple[int, ...]:
    return tuple(sorted({_count(part) for part in text.split(",")}))
