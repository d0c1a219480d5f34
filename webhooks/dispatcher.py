"""Delivers to many endpoints at once, on one event loop per task worker.

An endpoint that hangs costs a coroutine and not a thread of the worker, so it delays nobody else. Each
endpoint has a line of its own (``webhooks.line``); a delivery that fails waits for its next attempt and lets
those behind it pass, unless the endpoint wants the order of chats kept.
"""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import lru_cache
from typing import TypeVar

import structlog
from django.db import DatabaseError
from django.utils import timezone
from standardwebhooks import Webhook

from config import egress, metrics
from config.api.health import project_version
from webhooks import deliveries
from webhooks.blocking import closing_connections
from webhooks.deliveries import Batch, Job, Outcome
from webhooks.line import Line, Pace

log = structlog.get_logger(__name__)
T = TypeVar("T")

_DATABASE_THREADS = 4
_PARALLEL_ATTEMPTS = 1000
_TIMER_SECONDS = 60  # later attempts are left to the sweeper
_STOP_SECONDS = egress.TOTAL_SECONDS + 5


class Dispatcher:
    """Owns a thread with an event loop. ``wake`` may be called from any thread, also for a busy endpoint."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._database = ThreadPoolExecutor(_DATABASE_THREADS, thread_name_prefix="deliveries")
        self._client = egress.Client()
        self.slots = asyncio.Semaphore(_PARALLEL_ATTEMPTS)
        self.stopping = False
        self._lines: dict[str, Line] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._paces: dict[str, Pace] = {}
        self._thread = threading.Thread(target=self._loop.run_forever, name="dispatcher", daemon=True)
        self._thread.start()

    def wake(self, endpoint_id: str) -> None:
        """Deliver all that is due at the endpoint; returns at once. One that rests is asked when it has rested."""
        self._loop.call_soon_threadsafe(self._start, endpoint_id)

    def is_resting(self, endpoint_id: str) -> bool:
        """True if wake-ups are in vain for now: the endpoint failed, and is asked again by itself."""
        pace = self._paces.get(endpoint_id)
        return pace is not None and pace.rest_seconds > 0

    def stop(self) -> None:
        """Finish the attempts under way, give all endpoints back, end the thread. Blocks for 20 s at most."""
        asyncio.run_coroutine_threadsafe(self._finish(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._database.shutdown()

    async def _finish(self) -> None:
        self.stopping = True
        for line in self._lines.values():
            line.look_again()
        if self._tasks:
            _, unfinished = await asyncio.wait(self._tasks, timeout=_STOP_SECONDS)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)
        await self._client.aclose()

    def _start(self, endpoint_id: str) -> None:
        if line := self._lines.get(endpoint_id):
            line.look_again()
        elif not self.stopping and not self.is_resting(endpoint_id):
            self._lines[endpoint_id] = Line(endpoint_id, self._paces.setdefault(endpoint_id, Pace()), self)
            task = self._loop.create_task(self._run(self._lines[endpoint_id]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, line: Line) -> None:
        """Deliver what is due, give the endpoint back, and look when to come again."""
        endpoint_id, seconds = line.endpoint_id, float(_TIMER_SECONDS)
        try:
            await line.run()
        except Exception:
            log.exception("delivering failed", endpoint=endpoint_id)
        try:
            due = line.due if line.released else await self.in_database(deliveries.release, endpoint_id, line.claim)
            seconds = (due - timezone.now()).total_seconds() if due else seconds
        except DatabaseError:
            log.warning("an endpoint was not given back", endpoint=endpoint_id)  # the claim runs out by itself
        finally:
            del self._lines[endpoint_id]
        if line.has_claim or line.was_woken:
            self._come_again(endpoint_id, line, seconds)

    def _come_again(self, endpoint_id: str, line: Line, due_seconds: float) -> None:
        seconds = max(line.pace.rest_seconds, 0.0 if line.was_woken else due_seconds)
        if not line.pace.failures or not line.has_claim:
            self._paces.pop(endpoint_id, None)
        if seconds < _TIMER_SECONDS + 1:
            self._loop.call_later(max(0.0, seconds), self._start, endpoint_id)

    async def attempt(self, batch: Batch, job: Job) -> Outcome:
        """POST the event once; never raises."""
        at, started, request_id = timezone.now(), time.monotonic(), f"req_{uuid.uuid4().hex}"
        try:
            reply = await self._client.post(batch.url, headers=_headers(batch, job, at, request_id), content=job.body)
        except (egress.EgressError, egress.InvalidUrl) as error:
            outcome = Outcome(job, at, _since(started), error=str(error), request_id=request_id)
        except Exception:
            # One poisonous delivery must not stop those behind it.
            log.exception("attempt failed", endpoint_url=batch.url, event=job.event_id, request_id=request_id)
            wrong = "Something went wrong on our side."
            outcome = Outcome(job, at, _since(started), error=wrong, request_id=request_id)
        else:
            retry_after = reply.headers.get("retry-after", "")
            outcome = Outcome(job, at, _since(started), reply.status, "", reply.body, retry_after, request_id)
        _count(outcome)
        return outcome

    async def in_database(self, work: Callable[..., T], *args: object) -> T:
        return await self._loop.run_in_executor(self._database, closing_connections, work, *args)


def _headers(batch: Batch, job: Job, at: datetime, request_id: str) -> dict[str, str]:
    body = job.body.decode()
    return batch.headers | {
        "content-type": "application/json",
        "user-agent": f"whatsapp-api/{project_version()}",
        "x-request-id": request_id,
        "webhook-id": job.event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(_signer(secret).sign(job.event_id, at, body) for secret in batch.secrets),
    }


@lru_cache(maxsize=1000)
def _signer(secret: str) -> Webhook:
    return Webhook(secret)


def _count(outcome: Outcome) -> None:
    if outcome.succeeded:
        metrics.WEBHOOK_ATTEMPTS.inc("succeeded")
        metrics.WEBHOOK_LAG_SECONDS.observe((timezone.now() - outcome.job.event_at).total_seconds())
    else:
        metrics.WEBHOOK_ATTEMPTS.inc("failed" if outcome.status is None else "refused")


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


_making = threading.Lock()


def dispatcher() -> Dispatcher:
    """The dispatcher of this process."""
    with _making:  # the first tasks of a worker run at the same time
        return _dispatcher()


@lru_cache(maxsize=1)
def _dispatcher() -> Dispatcher:
    return Dispatcher()


def finish() -> None:
    """Stop the dispatcher of this process, if it has one. Idempotent."""
    with _making:
        if _dispatcher.cache_info().currsize:
            _dispatcher().stop()
            _dispatcher.cache_clear()
