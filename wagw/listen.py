"""``wagw listen`` and ``wagw tail``."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import secrets
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from standardwebhooks import Webhook

from wagw.client import CommandError, Settings, connected, words
from wagw.stream import Event, Stream

RECEIVER_SECONDS = 15.0  # as a webhook delivery
RETRY_SECONDS = (1.0, 2.0, 5.0)


class State:
    """Where a listener stands, in a file; without one, nowhere. Written after each event, whole or not at all."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def load(self) -> tuple[str, frozenset[str]] | None:
        """Cursor and ids of events after it; None without a file. Raises CommandError."""
        if self._path is None or not self._path.exists():
            return None
        try:
            kept = json.loads(self._path.read_text())
            return str(kept["cursor"]), frozenset(map(str, kept["done"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CommandError(f"{self._path} is not a state file: {words(error)}", 2) from error

    def save(self, stream: Stream, last: str) -> None:
        if self._path is None:
            return
        partial = self._path.with_name(f"{self._path.name}.partial")
        partial.write_text(json.dumps({"cursor": stream.cursor, "done": [*stream.done, last]}))
        os.replace(partial, self._path)


def secret_of(text: str | None) -> str:
    """A secret that can sign: the one given, or a new one. Raises CommandError."""
    if text is None:
        return f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}"
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if not text.startswith("whsec_") or not 24 <= len(key) <= 64:
        raise CommandError("--secret is whsec_ and 24 to 64 bytes in base64", 2)
    return text


async def listen(settings: Settings, arguments: Any) -> None:
    """Without end."""
    secret, state = secret_of(arguments.secret), State(arguments.state)
    cursor, done = state.load() or (arguments.after, frozenset())
    if arguments.secret is None:
        print(f"Secret: {secret}", flush=True)
    async with connected(settings) as client, _forwarding() as session:
        stream = Stream(client, types=arguments.types, instances=arguments.instances, cursor=cursor, done=done)
        async for event in stream.events():
            await _forward(session, arguments.forward_to, Webhook(secret), event)
            state.save(stream, event.body["id"])


def _forwarding() -> aiohttp.ClientSession:
    """Of its own: the key is none of the receiver's business."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=RECEIVER_SECONDS), cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
    )


async def _forward(session: aiohttp.ClientSession, url: str, webhook: Webhook, event: Event) -> None:
    """POST until the answer is 2xx, or the retries are used up."""
    for pause in (*RETRY_SECONDS, None):
        started = time.perf_counter()
        status = await _post(session, url, webhook, event)
        took = (time.perf_counter() - started) * 1000
        good = status.isdigit() and status.startswith("2")
        after = "" if good else f", again in {pause:.0f} s" if pause else ", given up"
        print(f"{_line(event)} -> {status} ({took:.0f} ms{after})", flush=True)
        if good or pause is None:
            return
        await asyncio.sleep(pause)


async def _post(session: aiohttp.ClientSession, url: str, webhook: Webhook, event: Event) -> str:
    """The status, or what went wrong."""
    now = datetime.now(UTC)
    headers = {
        "content-type": "application/json",
        "user-agent": "wagw",
        "x-request-id": f"req_{uuid.uuid4().hex}",
        "webhook-id": event.body["id"],
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": webhook.sign(event.body["id"], now, event.text),
    }
    try:
        async with session.post(url, data=event.text.encode(), headers=headers, allow_redirects=False) as answer:
            await answer.read()
            return str(answer.status)
    except (TimeoutError, aiohttp.ClientError) as error:
        return words(error)


async def tail(settings: Settings, arguments: Any) -> None:
    """Without end."""
    async with connected(settings) as client:
        stream = Stream(client, types=arguments.types, instances=arguments.instances, cursor=arguments.after)
        async for event in stream.events():
            print(event.text if arguments.json else f"{_line(event)} {_gist(event.body['data'])}", flush=True)


def _line(event: Event) -> str:
    body = event.body
    return f"{body['timestamp']} {body['id']} {body['instance'] or '-'} {body['sequence']} {body['type']}"


def _gist(data: dict[str, Any]) -> str:
    text = data.get("text")
    found = text.get("body") if isinstance(text, dict) else data.get("state") or data.get("code")
    return " ".join(str(found).split())[:80] if found else ""
