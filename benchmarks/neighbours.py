"""Do bad receivers slow the good ones down? Runs in a stack's environment: ``python -m benchmarks.neighbours SECONDS``.

Two organizations with 25 endpoints each get two events a second, for so many seconds with 50 good receivers and for so
many while one answers after 14 seconds, one refuses connections and one returns 10 MB. Prints, as JSON, how many
seconds each event took from its insertion to each of the 47 others: ``{"before": [...], "during": [...]}``.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from typing import Any

import django
import orjson
from aiohttp import web

_ENDPOINTS, _RATE = 50, 2.0
SLOW, REFUSING, LARGE = range(3)


class Receiver:
    """Fifty receivers in one server; the first ones can turn bad."""

    def __init__(self) -> None:
        self.bad = False
        self.took: list[tuple[int, float, float]] = []
        self._large = b"x" * 10_000_000

    async def answer(self, request: web.Request) -> web.Response:
        number, arrived = int(request.match_info["number"]), time.time()
        event = orjson.loads(await request.read())
        self.took.append((number, event["data"]["at"], arrived))
        if self.bad and number == SLOW:
            await asyncio.sleep(14)
        return web.Response(body=self._large if self.bad and number == LARGE else b"")

    async def start(self) -> int:
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/{number}", self.answer)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        return int(site._server.sockets[0].getsockname()[1])  # type: ignore[attr-defined]


def _tenants(port: int) -> list[tuple[str, str, list[str]]]:
    """Of each organization its id, an instance's id, and its endpoints' ids."""
    from accounts.models import Organization
    from config.ids import new_id
    from webhooks.models import Endpoint

    tenants = []
    for start in (0, _ENDPOINTS // 2):
        organization = Organization.objects.create(name=f"Neighbour {start}")
        urls = [f"http://127.0.0.1:{port}/{number}" for number in range(start, start + _ENDPOINTS // 2)]
        made = [Endpoint.objects.create(organization=organization, url=url, events=["*"]).id for url in urls]
        tenants.append((organization.id, new_id("ins"), made))
    return tenants


def _emit(tenants: list[tuple[str, str, list[str]]]) -> None:
    from django.db import transaction

    from webhooks import events

    for organization, instance, _ in tenants:
        with transaction.atomic():
            events.append([events.Draft(organization, instance, "sandbox", "message.received", {"at": time.time()})])


def _refuse(endpoint_id: str) -> None:
    """Move an endpoint to a port where nobody listens."""
    from webhooks.models import Endpoint

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    Endpoint.objects.filter(pk=endpoint_id).update(url=f"http://127.0.0.1:{port}/")


async def compare(seconds: float) -> dict[str, list[float]]:
    receiver, found = Receiver(), dict[str, list[float]]()
    tenants = await asyncio.to_thread(_tenants, await receiver.start())
    for name in ("warm-up", "before", "during"):
        receiver.bad = name == "during"
        if receiver.bad:
            await asyncio.to_thread(_refuse, tenants[0][2][REFUSING])
        receiver.took.clear()
        rounds = int((3 if name == "warm-up" else seconds) * _RATE)
        for _ in range(rounds):
            await asyncio.gather(asyncio.to_thread(_emit, tenants), asyncio.sleep(1 / _RATE))
        await _settle(receiver, rounds * (_ENDPOINTS - 3))
        found[name] = [arrived - at for number, at, arrived in receiver.took if number > LARGE]
    return {name: found[name] for name in ("before", "during")}


async def _settle(receiver: Receiver, expected: int) -> Any:
    async with asyncio.timeout(60):
        while sum(number > LARGE for number, _, _ in receiver.took) < expected:
            await asyncio.sleep(0.1)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    print(orjson.dumps(asyncio.run(compare(float(sys.argv[1])))).decode())
