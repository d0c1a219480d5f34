from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from instances.models import Network
from instances.workers import overview


class Command(BaseCommand):
    help = "List the session workers: their load, the numbers that each holds, and for how long its leases still last."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--network", choices=Network.values, help="of one network only")
        parser.add_argument("--json", action="store_true", help="as one JSON object, for programs")

    def handle(self, *args: Any, **options: Any) -> None:
        found = overview(options["network"])
        lines = [json.dumps(found, indent=1)] if options["json"] else _text(found)
        for line in lines:
            self.stdout.write(line)


def _text(found: dict[str, Any]) -> Iterator[str]:
    for worker in found["workers"]:
        life = f"heartbeat {worker['heartbeat_age']} s ago" if worker["alive"] else "GONE"
        life += f", draining for {worker['draining_for']} s" if worker["draining_for"] is not None else ""
        yield f"{worker['name']}  {worker['id']}  {worker['network']}  {life}"
        yield (
            f"  {len(worker['numbers'])} of {worker['capacity']} numbers, pid {worker['pid']} on {worker['machine']}, "
            f"{worker['memory_bytes'] / 2**20:.0f} MB, {worker['cpu']:.2f} processors, {worker['threads']} threads, "
            f"{worker['descriptors']} descriptors ({worker['store_connections']} of stores)"
        )
        yield from map(_number, worker["numbers"])
    for name in ("unheld", "quarantined"):
        if found[name]:
            yield f"{name}: {len(found[name])}"
            yield from map(_number, found[name])
    if not found["workers"]:
        yield "There is no session worker."


def _number(number: dict[str, Any]) -> str:
    lease = "no lease" if number["lease_left"] is None else f"lease {number['lease_left']:5.1f} s"
    marks = ["on probation"] * number["on_probation"] + [f"{number['crashes']} crashes"] * bool(number["crashes"])
    marks += [f"quarantined until {number['quarantined_until']}"] * bool(number["quarantined_until"])
    told = f"  {number['id']}  {number['phone'] or '-':15}  {number['state']:12}  epoch {number['epoch']:<5}  {lease}"
    return "  ".join([told, *marks])
