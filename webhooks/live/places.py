"""How many sockets an organization has open, over all processes.

Each process keeps its own number in Redis for a while and renews it, so that one that was killed is forgotten by
itself. Without Redis only the sockets of this process count.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from functools import lru_cache
from typing import Any

import redis
import structlog
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.api.problems import Problem

log = structlog.get_logger(__name__)

RENEW_SECONDS, KEEP_SECONDS = 5.0, 20.0

# Fields are processes, values "number:until". ARGV: process, number, now, until, the most, 1 to refuse what is over it.
_PUT = """
local others = 0
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local number, limit = string.match(fields[i + 1], '(%d+):(%d+)')
  if tonumber(limit) < tonumber(ARGV[3]) then redis.call('HDEL', KEYS[1], fields[i])
  elseif fields[i] ~= ARGV[1] then others = others + tonumber(number) end
end
if ARGV[6] == '1' and others + tonumber(ARGV[2]) > tonumber(ARGV[5]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ':' .. ARGV[4])
redis.call('EXPIREAT', KEYS[1], ARGV[4])
return 1
"""

_process = uuid.uuid4().hex
_taken: Counter[str] = Counter()
_renewing: asyncio.Task[None] | None = None


async def take(organization_id: str) -> None:
    """Take a place for one more socket. Raises Problem ``too_many_sockets``."""
    global _renewing
    _taken[organization_id] += 1
    number = _taken[organization_id]
    try:
        free = number <= settings.SOCKETS_PER_ORGANIZATION
        free = free and await asyncio.to_thread(_put, organization_id, number, refuse=True)
    except redis.RedisError as error:
        log.warning("sockets not counted", reason=type(error).__name__)
    except BaseException:
        give_back(organization_id)
        raise
    if not free:
        give_back(organization_id)
        raise Problem(
            "too_many_sockets",
            f"An organization has at most {settings.SOCKETS_PER_ORGANIZATION} sockets open.",
            headers={"Retry-After": "10"},
        )
    if _renewing is None or _renewing.done():
        _renewing = asyncio.create_task(_renew())


def give_back(organization_id: str) -> None:
    """The other processes know within RENEW_SECONDS."""
    _taken[organization_id] -= 1


async def _renew() -> None:
    while _taken:
        await asyncio.sleep(RENEW_SECONDS)
        numbers = dict(_taken)
        try:
            await asyncio.to_thread(_put_all, numbers)
        except redis.RedisError as error:
            log.warning("sockets not counted", reason=type(error).__name__)
        for organization_id, number in numbers.items():
            if not number and not _taken[organization_id]:
                del _taken[organization_id]


def _put(organization_id: str, number: int, *, refuse: bool) -> bool:
    now = time.time()
    most = settings.SOCKETS_PER_ORGANIZATION
    arguments = [_process, number, int(now), int(now + KEEP_SECONDS), most, int(refuse)]
    return bool(_script(settings.REDIS_URL)(keys=[f"sockets:{organization_id}"], args=arguments))


def _put_all(numbers: dict[str, int]) -> None:
    for organization_id, number in numbers.items():
        _put(organization_id, number, refuse=False)


@lru_cache(maxsize=1)
def _script(url: str) -> Any:
    options: dict[str, Any] = settings.CACHES["limits"]["OPTIONS"]  # type: ignore[assignment]
    return redis.Redis.from_url(url, **options, retry=Retry(NoBackoff(), 0)).register_script(_PUT)
