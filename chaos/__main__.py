"""``make chaos``: one run, its table, and exit code 1 if a promise was broken, 2 if there was nothing to count."""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import signal
import sys
import time
from pathlib import Path

from benchmarks.client import LoadError
from chaos import world
from chaos.reckoning import Direction, broken
from chaos.world import Plan, Result


def main(argv: list[str]) -> int:
    options = _parse(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    plan = Plan(options.seed, options.seconds, options.numbers, options.workers, options.rate)
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:6.1f} s  {text}", file=sys.stderr, flush=True)

    print(f"seed {plan.seed}; again with: make chaos ARGS='--seed {plan.seed}'", flush=True)
    try:
        result = world.run(plan, say)
    except (LoadError, AssertionError) as error:
        print(f"seed {plan.seed}: {error}", file=sys.stderr)
        return 2
    complaints = broken(result.out, result.inbound, result.twice, result.troubles.hard_kills)
    print(table(result))
    if options.output:
        options.output.write_text(json.dumps(_as_json(result, complaints), indent=2) + "\n")
    if complaints:
        print(result.logged)
    for complaint in complaints:
        print(f"BROKEN: {complaint}")
    return 1 if complaints else 0


def table(result: Result) -> str:
    """The counts, a line each."""
    lines = [f"{'':34}{'outbound':>10}{'inbound':>10}"]
    for name in ("accepted", "arrived", "lost", "doubled", "reordered", "failed", "doubtful", "unsettled"):
        out, inbound = (_number(one, name) for one in (result.out, result.inbound))
        lines.append(f"{name:34}{out:>10}{inbound:>10}")
    away = sorted(result.away)
    lines += [
        f"{'numbers held by two at once':34}{result.twice:>10}",
        f"{'hard kills of session workers':34}{result.troubles.hard_kills:>10}",
        f"{'times a number was away':34}{len(away):>10}",
    ]
    if away:
        lines.append(
            f"{'  p50, p99, longest (s)':34}{_share(away, 0.5):>10.1f}{_share(away, 0.99):>10.1f}{away[-1]:>10.1f}"
        )
    lines += [
        f"{'longest until accepted (s)':34}{result.slowest:>10.1f}",
        f"{'until nothing was under way (s)':34}{result.settled:>10.1f}",
        "",
    ]
    return "\n".join(lines + [f"{name:34}{count:>10}" for name, count in sorted(result.troubles.made.items())])


def _share(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _number(direction: Direction, name: str) -> int:
    value = getattr(direction, name)
    return value if isinstance(value, int) else len(value)


def _as_json(result: Result, complaints: list[str]) -> dict[str, object]:
    return {
        "plan": dataclasses.asdict(result.plan),
        "outbound": dataclasses.asdict(result.out),
        "inbound": dataclasses.asdict(result.inbound),
        "held_twice": result.twice,
        "troubles": dict(result.troubles.made),
        "away_seconds": sorted(result.away),
        "broken": complaints,
    }


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos ARGS=…", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--seconds", type=float, default=Plan.seconds, help="of trouble (default %(default).0f)")
    parser.add_argument("--numbers", type=int, default=Plan.numbers, help="linked numbers (default %(default)s)")
    parser.add_argument("--workers", type=int, default=Plan.workers, help="session workers (default %(default)s)")
    parser.add_argument(
        "--rate", type=float, default=Plan.per_second, help="messages per second each way (default %(default)s)"
    )
    parser.add_argument("output", nargs="?", type=Path, help="a file for the result as JSON")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
