"""Delivers to many endpoints at once, on one event loop per task worker.

An endpoint that hangs costs a coroutine and not a thread of the worker, so it delays nobody else. Each
endpoint gets its events one after the other, in order; a delivery that fails waits for its next attempt
and lets those behind it pass.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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

log = structlog.get_logger(__name__)
T = TypeVar("T")

_DATABASE_THREADS = 4
_PARALLEL_ATTEMPTS = 500
_RECORD_SECONDS = 0.2  # results are written together, but no later than this
_TIMER_SECONDS = 60  # later attempts are left to the sweeper
_STOP_SECONDS = egress.TOTAL_SECONDS + 5


class Dispatcher:
    """Owns a thread with an event loop. ``wake`` may be called from any thread, also for a busy endpoint."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._database = ThreadPoolExecutor(_DATABASE_THREADS, thread_name_prefix="deliveries")
        self._client = egress.Client()
        self._slots = asyncio.Semaphore(_PARALLEL_ATTEMPTS)
        self._drains: dict[str, asyncio.Task[None]] = {}
        self._woken_again: set[str] = set()
        self._stopping = False
        self._thread = threading.Thread(target=self._loop.run_forever, name="dispatcher", daemon=True)
        self._thread.start()

    def wake(self, endpoint_id: str) -> None:
        """Deliver all that is due at the endpoint; returns at once."""
        self._loop.call_soon_threadsafe(self._start, endpoint_id)

    def stop(self) -> None:
        """Finish the attempts under way, give all endpoints back, end the thread. Blocks for 20 s at most."""
        asyncio.run_coroutine_threadsafe(self._finish(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._database.shutdown()

    async def _finish(self) -> None:
        self._stopping = True
        if self._drains:
            _, unfinished = await asyncio.wait(self._drains.values(), timeout=_STOP_SECONDS)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)
        await self._client.aclose()

    def _start(self, endpoint_id: str) -> None:
        if endpoint_id in self._drains:
            self._woken_again.add(endpoint_id)
        elif not self._stopping:
            self._drains[endpoint_id] = self._loop.create_task(self._drain(endpoint_id))

    async def _drain(self, endpoint_id: str) -> None:
        claim = uuid.uuid4()
        try:
            while await self._deliver_due(endpoint_id, claim) and not self._stopping:
                pass
        except Exception:
            log.exception("delivering failed", endpoint=endpoint_id)
            # If this fails too, the claim runs out by itself and the sweeper sends the next wake-up.
            with contextlib.suppress(DatabaseError):
                await self._in_database(deliveries.release, endpoint_id, claim)
        finally:
            self._woken_again.discard(endpoint_id)
            del self._drains[endpoint_id]

    async def _deliver_due(self, endpoint_id: str, claim: uuid.UUID) -> bool:
        """Deliver until nothing is due; True if it is worth another look."""
        self._woken_again.discard(endpoint_id)
        go_on = True
        while go_on:
            batch = await self._in_database(deliveries.take, endpoint_id, claim)
            if batch is None:
                return endpoint_id in self._woken_again
            go_on = bool(batch.jobs) and await self._deliver(endpoint_id, claim, batch)
        await self._in_database(deliveries.release, endpoint_id, claim)
        # A process that was refused the claim while we had it counts on this look after the release.
        due = await self._in_database(deliveries.next_due_at, endpoint_id)
        seconds = (due - timezone.now()).total_seconds() if due else _TIMER_SECONDS
        if 0 < seconds < _TIMER_SECONDS:
            self._loop.call_later(seconds, self._start, endpoint_id)
        return seconds <= 0 or endpoint_id in self._woken_again

    async def _deliver(self, endpoint_id: str, claim: uuid.UUID, batch: Batch) -> bool:
        """Attempt the jobs in order and record what came of them; True if there may be more."""
        outcomes: list[Outcome] = []
        recorded = time.monotonic()
        for job in batch.jobs:
            async with self._slots:
                outcomes.append(await self._attempt(batch, job))
            _count(outcomes[-1])
            if job is batch.jobs[-1] or self._stopping or time.monotonic() - recorded > _RECORD_SECONDS:
                go_on = await self._in_database(deliveries.record, endpoint_id, claim, outcomes)
                outcomes, recorded = [], time.monotonic()
                if not go_on or self._stopping:
                    return False
        return True

    async def _attempt(self, batch: Batch, job: Job) -> Outcome:
        at, started = timezone.now(), time.monotonic()
        headers = {
            "content-type": "application/json",
            "user-agent": f"whatsapp-api/{project_version()}",
            "webhook-id": job.event_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(batch.secret).sign(job.event_id, at, job.body.decode()),
        }
        try:
            reply = await self._client.post(batch.url, headers=headers, content=job.body)
        except (egress.EgressError, egress.InvalidUrl) as error:
            return Outcome(job, at, _since(started), error=str(error))
        except Exception:
            # One poisonous delivery must not stop those behind it.
            log.exception("attempt failed", endpoint_url=batch.url, event=job.event_id)
            return Outcome(job, at, _since(started), error="Something went wrong on our side.")
        retry_after = reply.headers.get("retry-after", "")
        return Outcome(job, at, _since(started), reply.status, response=reply.body, retry_after=retry_after)

    async def _in_database(self, work: Callable[..., T], *args: object) -> T:
        return await self._loop.run_in_executor(self._database, closing_connections, work, *args)


def _count(outcome: Outcome) -> None:
    if outcome.succeeded:
        metrics.WEBHOOK_ATTEMPTS.inc("succeeded")
        metrics.WEBHOOK_LAG_SECONDS.observe((timezone.now() - outcome.job.event_at).total_seconds())
    else:
        metrics.WEBHOOK_ATTEMPTS.inc("failed" if outcome.status is None else "refused")


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


@lru_cache(maxsize=1)
def dispatcher() -> Dispatcher:
    """The dispatcher of this process."""
    return Dispatcher()
