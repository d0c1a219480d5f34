"""How long it takes from a virtual phone's send to the webhook's arrival."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import httpx
import orjson

from benchmarks.client import LoadError, run
from benchmarks.options import Options
from benchmarks.product import Product
from benchmarks.receiving import Caller
from benchmarks.report import Row, milliseconds

_LONGEST_SECONDS = 30.0
_REST_SECONDS = 0.1  # between two messages, so that each finds an idle product


class Receiver:
    """A webhook receiver on loopback that answers at once and notes when each text message came."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[float]] = {}

    async def start(self) -> str:
        """Returns its URL."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Caller(self._note, time.perf_counter), "127.0.0.1", 0
        )
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/webhook"

    def stop(self) -> None:
        self._server.close()

    def expect(self, text: str) -> asyncio.Future[float]:
        """The moment (perf_counter) at which the event with this text has come."""
        self._waiting[text] = asyncio.get_running_loop().create_future()
        return self._waiting[text]

    def _note(self, body: bytes, arrived: float) -> None:
        waiting = self._waiting.pop(orjson.loads(body)["data"]["text"]["body"], None)
        if waiting and not waiting.done():
            waiting.set_result(arrived)


def measure(product: Product, options: Options) -> Iterator[Row]:
    """One message after another, each sent when the last one's webhook has come and the product is idle again."""
    latencies = run(_measure(product, options.events))
    yield Row(
        "receive.webhook",
        "a phone's send to the webhook's arrival",
        sum(latencies) / len(latencies) * 1000,
        "ms mean",
        **milliseconds(latencies),
        note=f"{len(latencies)} messages, one at a time",
    )


async def _measure(product: Product, events: int) -> list[float]:
    receiver = Receiver()
    url = await receiver.start()
    body = {"url": url, "events": ["message.received"], "instances": [product.instance]}
    endpoint = product.api("POST", "/api/webhooks", json=body)["id"]
    options = product.control_options | {"transport": httpx.AsyncHTTPTransport(uds=product.control_socket)}
    try:
        async with httpx.AsyncClient(**options) as control:
            await _latency(product, control, receiver, "the first one warms up")
            return [await _latency(product, control, receiver, f"event {number}") for number in range(events)]
    finally:
        product.api("DELETE", f"/api/webhooks/{endpoint}")
        receiver.stop()


async def _latency(product: Product, control: httpx.AsyncClient, receiver: Receiver, text: str) -> float:
    await asyncio.sleep(_REST_SECONDS)
    arrival = receiver.expect(text)
    message = {"phone": product.receiver, "to": product.number, "text": text}
    started = time.perf_counter()
    (await control.post("/control/send_text", json=message)).raise_for_status()
    try:
        return await asyncio.wait_for(arrival, _LONGEST_SECONDS) - started
    except TimeoutError:
        raise LoadError(f"no webhook came for {text!r}") from None
