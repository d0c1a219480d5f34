"""What one process delivers to one endpoint: some requests at once, those of one chat one after the other."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from webhooks import deliveries
from webhooks.deliveries import Batch, Job, Outcome

T = TypeVar("T")

WIDTH = 16  # requests at once, to an endpoint that answers well
RESTING_AFTER = 5  # failures in a row
MAX_REST_SECONDS = 60.0
_BATCH = 100
_LOW = 50
_RECORD_SECONDS = 0.2  # results are written together, but no later than this
_RENEW_SECONDS = deliveries.CLAIM_SECONDS / 4


@dataclass
class Pace:
    """How much an endpoint is trusted with. One that fails is asked one thing at a time, then rests between.

    So an endpoint that is down costs next to nothing, and what waits for it keeps its attempts.
    """

    width: int = 4
    failures: int = 0
    rests: int = 0
    rests_until: float = 0.0

    def note(self, outcome: Outcome) -> None:
        if outcome.succeeded:
            self.failures, self.rests, self.width = 0, 0, min(self.width + 1, WIDTH)
            return
        self.failures += 1
        self.width = max(1, self.width // 2)
        seconds = deliveries.asked_seconds(outcome) if outcome.status in (429, 503) else 0.0
        if self.failures >= RESTING_AFTER and not self.rest_seconds:  # those that were under way fail together
            seconds = max(seconds, float(2**self.rests))
            self.rests = min(self.rests + 1, 10)
        self.rests_until = max(self.rests_until, time.monotonic() + min(seconds, MAX_REST_SECONDS))

    @property
    def rest_seconds(self) -> float:
        return max(0.0, self.rests_until - time.monotonic())


class Surroundings(Protocol):
    """What a line needs of the dispatcher."""

    slots: asyncio.Semaphore
    stopping: bool

    async def attempt(self, batch: Batch, job: Job) -> Outcome: ...

    async def in_database(self, work: Callable[..., T], *args: object) -> T: ...


@dataclass(eq=False)
class Line:
    """``run`` delivers until nothing is due, the endpoint rests, or the claim is lost; ``look_again`` prolongs it."""

    endpoint_id: str
    pace: Pace
    around: Surroundings
    claim: uuid.UUID = field(default_factory=uuid.uuid4)

    def __post_init__(self) -> None:
        self._changed = asyncio.Event()
        self._look, self._over = True, False
        self._batch: Batch | None = None
        self._lanes: dict[str, deque[Job]] = {}
        self._ready: deque[str] = deque()  # lanes with jobs, none of which is under way
        self._waiting = 0
        self._workers: set[asyncio.Task[None]] = set()
        self._outcomes: list[Outcome] = []
        self._unused: list[Job] = []
        self._held: set[str] = set()  # lanes with a failure that is not recorded yet
        self._recorded = time.monotonic()
        self.released = False
        self.due: datetime | None = None  # what is open next, as of the release

    @property
    def has_claim(self) -> bool:
        """False if another process had the endpoint, or it is gone."""
        return self._batch is not None

    @property
    def was_woken(self) -> bool:
        """True if there may be something that this line did not look at."""
        return self._look

    def look_again(self) -> None:
        """There may be something new."""
        self._look = True
        self._changed.set()

    async def run(self) -> None:
        """Raises what the database raises; requests under way are then given up."""
        try:
            while True:
                if self._look and not self._is_leaving and self._waiting < _LOW:
                    await self._take()
                if self._is_leaving:
                    self._put_back()
                self._hire()
                if not (self._workers or self._outcomes or self._unused):
                    return
                await self._wait()
                await self._record()
        finally:
            for worker in self._workers:
                worker.cancel()
            await asyncio.gather(*self._workers, return_exceptions=True)

    @property
    def _is_leaving(self) -> bool:
        """For good: once it is true it stays so."""
        self._over = self._over or self.around.stopping or self.pace.rest_seconds > 0
        return self._over

    async def _take(self) -> None:
        self._look, self.released = False, False
        batch = await self.around.in_database(deliveries.take, self.endpoint_id, self.claim, _BATCH)
        if batch is None:
            self._over = True
            return
        self._batch, self._look = batch, self._look or batch.full
        for job in batch.jobs:
            if job.lane in self._held:
                self._unused.append(job)
                continue
            if job.lane not in self._lanes:
                self._lanes[job.lane] = deque()
                self._ready.append(job.lane)
            self._lanes[job.lane].append(job)
            self._waiting += 1

    def _put_back(self) -> None:
        """Nothing more is begun."""
        for jobs in self._lanes.values():
            self._unused += jobs
            jobs.clear()
        self._ready.clear()
        self._waiting = 0

    def _hire(self) -> None:
        for _ in range(min(self.pace.width - len(self._workers), len(self._ready))):
            worker = asyncio.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._left)

    def _left(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        self._changed.set()

    async def _work(self) -> None:
        while self._ready and not self._is_leaving and len(self._workers) <= self.pace.width:
            lane = self._ready.popleft()
            job = self._lanes[lane].popleft()
            self._waiting -= 1
            assert self._batch is not None
            async with self.around.slots:
                outcome = await self.around.attempt(self._batch, job)
            self._done(lane, outcome, self._batch.in_order)

    def _done(self, lane: str, outcome: Outcome, in_order: bool) -> None:
        self.pace.note(outcome)
        self._outcomes.append(outcome)
        left = self._lanes[lane]
        if in_order and not outcome.succeeded:
            self._held.add(lane)
            self._unused += left
            self._waiting -= len(left)
            left.clear()
        if left:
            self._ready.append(lane)
        else:
            del self._lanes[lane]
        if self._waiting < _LOW or len(self._outcomes) >= _BATCH or self._is_leaving:
            self._changed.set()

    async def _wait(self) -> None:
        """For something to do: results that have waited long enough, an idle place, news."""
        seconds = _RECORD_SECONDS if self._outcomes or self._unused else _RENEW_SECONDS
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, self._recorded + seconds - time.monotonic())):
                await self._changed.wait()
        self._changed.clear()

    async def _record(self) -> None:
        """Write what there is, and renew the claim, when it is time."""
        has_news = bool(self._outcomes or self._unused)
        elapsed = time.monotonic() - self._recorded
        is_due = len(self._outcomes) >= _BATCH or elapsed >= (_RECORD_SECONDS if has_news else _RENEW_SECONDS)
        if not is_due and (self._workers or not has_news):
            return
        outcomes, unused = self._outcomes, self._unused
        last = not (self._workers or self._waiting) and (self._is_leaving or not (self._look or unused))
        self._outcomes, self._unused = [], []
        mine = (self.endpoint_id, self.claim)
        done = await self.around.in_database(deliveries.record, *mine, outcomes, unused, last)
        self._held &= {outcome.job.lane for outcome in self._outcomes}
        self._look = self._look or bool(unused)
        self._over = self._over or not done.go_on
        self.released, self.due = last and done.claimed, done.due
        self._recorded = time.monotonic()
