from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web


class Product:
    """Speaks the protocol of ``/ws/events``; ``sockets`` are scripts, one for each that is opened.

    A script sends frames and returns; then its socket breaks, or is closed if it has closed it. After the last one
    sockets stay open and silent.
    """

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.credentials: list[str] = []
        self.sockets: list[Callable[[web.WebSocketResponse], Awaitable[None]]] = []
        self.refusal: tuple[int, dict[str, Any]] | None = None
        self.answers: dict[str, tuple[int, Any]] = {}
        self.calls: list[tuple[str, str, Any]] = []
        self.silent = asyncio.Event()  # set when the last script has ended

    async def events(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(dict(request.query))
        self.credentials.append(request.headers.get("Authorization", ""))
        if self.refusal:
            status, problem = self.refusal
            return web.json_response(problem, status=status, content_type="application/problem+json")
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if not self.sockets:
            self.silent.set()
            await socket.receive()
            return socket
        await self.sockets.pop(0)(socket)
        if not socket.closed and request.transport:
            request.transport.abort()
        return socket

    async def api(self, request: web.Request) -> web.Response:
        body = await request.json() if request.content_type == "application/json" else None
        self.calls.append((request.method, request.path_qs, body))
        status, answer = self.answers[f"{request.method} {request.path_qs}"]
        return web.json_response(answer, status=status)


class Receiver:
    """Notes what is POSTed; ``statuses`` are the next answers, 200 after them."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        self.url = ""

    async def hook(self, request: web.Request) -> web.Response:
        self.requests.append(({k.lower(): v for k, v in request.headers.items()}, await request.read()))
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)


async def _serve(routes: list[web.RouteDef]) -> tuple[web.AppRunner, str]:
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


@pytest.fixture
async def product() -> AsyncIterator[tuple[Product, str]]:
    """And its address."""
    product = Product()
    runner, url = await _serve([web.get("/ws/events", product.events), web.route("*", "/api/{path:.*}", product.api)])
    yield product, url
    await runner.cleanup()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    runner, url = await _serve([web.post("/hook", receiver.hook)])
    receiver.url = f"{url}/hook"
    yield receiver
    await runner.cleanup()
