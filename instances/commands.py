"""Live commands: what only the worker that holds a number can do, asked from any process and answered at once.

The command goes through the broker to the queue of the number's worker, the answer comes back through Redis.
Nothing of it is kept: whoever needs a promise writes it into the database first.
"""

from __future__ import annotations

import uuid
from functools import lru_cache
from typing import Any

import orjson
import redis
import structlog
from django.conf import settings
from django.db import connection
from kombu.exceptions import OperationalError

from config import metrics
from config.api.problems import Problem
from config.celery import app
from instances.models import Instance, Worker
from instances.states import State

log = structlog.get_logger(__name__)
LONGEST_SECONDS = 30.0
_KEPT_SECONDS = 60  # an answer that nobody fetches
_RETRY = {"Retry-After": "5"}
_CODES = ("instance_offline", "no_answer", "unavailable")


def call(instance: Instance, name: str, arguments: dict[str, Any] | None = None, *, seconds: float = 10.0) -> Any:
    """Have the holder of a number run a command, and wait for its answer: whatever JSON the command returns.

    ``arguments`` hold JSON values only. Waits for ``seconds`` (at most LONGEST_SECONDS) without a database
    connection, unless the caller is in a transaction.

    Raises Problem ``instance_offline`` when the command was not run, ``no_answer`` when it may have been run,
    ``engine_failed`` when the engine refused it, ``unavailable`` without a broker, and what the command itself raises.
    """
    seconds = min(seconds, LONGEST_SECONDS)
    queue = Worker.objects.live().filter(held=instance).values_list("queue", flat=True).first()
    if queue is None or instance.state != State.CONNECTED:
        raise offline()
    if not connection.in_atomic_block:
        connection.close()  # others need it while we wait
    call_id = str(uuid.uuid4())
    order = {"call_id": call_id, "instance_id": instance.id, "name": name, "arguments": arguments or {}}
    try:
        app.send_task("instances.tasks.command", kwargs={**order, "seconds": seconds}, queue=queue, expires=seconds)
        found = _redis().blpop([_key(call_id)], timeout=seconds)
    except (redis.RedisError, OperationalError, OSError) as error:
        log.warning("command_not_sent", command=name, error=repr(error))
        raise Problem("unavailable", headers=_RETRY) from error
    answer = orjson.loads(found[1]) if found else {"problem": "no_answer"}
    metrics.COMMANDS.inc(name, answer.get("problem", "done"))
    if code := answer.get("problem"):
        raise Problem(code, answer.get("detail", ""), headers=_RETRY if code in _CODES else {})
    return answer["result"]


def offline() -> Problem:
    return Problem("instance_offline", "The number is not connected now.", headers=_RETRY)


def answer(call_id: str, result: Any) -> None:
    """Answer a command; a Problem as its result is raised where it was called. Nobody may be waiting any more."""
    said = {"problem": result.code, "detail": result.detail} if isinstance(result, Problem) else {"result": result}
    try:
        with _redis().pipeline() as pipeline:
            pipeline.rpush(_key(call_id), orjson.dumps(said))
            pipeline.expire(_key(call_id), _KEPT_SECONDS)
            pipeline.execute()
    except redis.RedisError as error:
        log.warning("command_not_answered", error=repr(error))


def _key(call_id: str) -> str:
    return f"answer:{call_id}"


@lru_cache(maxsize=1)
def _redis() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=LONGEST_SECONDS + 5)
