"""``python -m stack listen``: prints the events of the development organization as they arrive.

Each event comes twice, as for any customer: over the WebSocket, and by a webhook to a receiver of ours whose
signature is checked. The webhook is registered for as long as this runs. For the product that runs in VAR_DIR.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
from typing import Any

import aiohttp
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from stack.paths import Paths


def _show(way: str, event: dict[str, Any]) -> None:
    data = event["data"]
    words = data.get("text", {}).get("body") or data.get("state") or ""
    print(f"{way:9} {event['sequence']:5} {event['type']:20} {words}", flush=True)


class Listener:
    def __init__(self, address: str, key: str) -> None:
        self._address = address
        self._session = aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"})
        self._secret = ""

    async def run(self) -> None:
        """Listen until cancelled."""
        async with (
            self._session,
            self._receiver() as url,
            self._webhook(url),
            self._session.ws_connect(f"{self._address}/ws/events") as socket,
        ):
            print("Listening. Ctrl-C ends it.", flush=True)
            async for frame in socket:
                event = json.loads(frame.data)
                if "sequence" in event:
                    _show("WebSocket", event)
        raise ConnectionError("The product closed the WebSocket.")

    @contextlib.asynccontextmanager
    async def _receiver(self) -> Any:
        app = web.Application()
        app.router.add_post("/", self._delivery)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
        finally:
            await runner.cleanup()

    async def _delivery(self, request: web.Request) -> web.Response:
        try:
            event = Webhook(self._secret).verify(await request.read(), dict(request.headers))
        except WebhookVerificationError:
            print("A delivery with a wrong signature was refused.", file=sys.stderr)
            return web.Response(status=401)
        _show("webhook", event)
        return web.Response(status=204)

    @contextlib.asynccontextmanager
    async def _webhook(self, url: str) -> Any:
        body = {"url": url, "events": ["*"]}
        async with self._session.post(f"{self._address}/api/webhooks", json=body, raise_for_status=True) as answer:
            hook = await answer.json()
        self._secret = hook["secret"]
        try:
            yield
        finally:
            await self._session.delete(f"{self._address}/api/webhooks/{hook['id']}")


async def _main() -> int:
    try:
        ready = json.loads((Paths.of().run / "ready.json").read_text())
    except FileNotFoundError:
        print("The product does not run here: start it with `make up` first.", file=sys.stderr)
        return 2
    listening = asyncio.ensure_future(Listener(ready["address"], ready["key"]).run())
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, listening.cancel)
    try:
        await listening
    except asyncio.CancelledError:
        return 0
    except (aiohttp.ClientError, ConnectionError) as error:
        print(error, file=sys.stderr)
    return 1


def main(argv: list[str]) -> int:
    argparse.ArgumentParser(prog="python -m stack listen", description=__doc__).parse_args(argv)
    return asyncio.run(_main())
