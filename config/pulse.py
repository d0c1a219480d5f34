"""Signs of life of the processes that have no row of their own, kept in the cache for /health."""

from __future__ import annotations

import contextlib
import threading
import time

import redis
import structlog
from django.core.cache import cache

log = structlog.get_logger(__name__)
BEAT_SECONDS, ALIVE_SECONDS = 5, 20


def _key(part: str) -> str:
    return f"pulse:{part}"


def beat(part: str) -> None:
    """Note that `part` (``tasks``, ``beat``, ``live``) is alive now."""
    cache.set(_key(part), time.time(), timeout=ALIVE_SECONDS)


def alive(*parts: str) -> dict[str, bool]:
    """Which of the parts gave a sign of life within ALIVE_SECONDS. Raises redis.RedisError."""
    found = cache.get_many([_key(part) for part in parts])
    return {part: _key(part) in found for part in parts}


def start(part: str) -> None:
    """Give a sign of life every few seconds from a thread of this process, until it ends."""

    def run() -> None:
        while True:
            with contextlib.suppress(redis.RedisError):
                beat(part)
            time.sleep(BEAT_SECONDS)

    threading.Thread(target=run, name=f"pulse-{part}", daemon=True).start()
