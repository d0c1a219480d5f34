"""The database side of delivering: who may deliver to an endpoint, what is due, and what came of it.

One process at a time delivers to an endpoint: it holds a claim that expires, taken and renewed by
compare-and-swap. If it dies, whoever claims next finds its deliveries still open and makes them again, so
an event arrives at least once.
"""

from __future__ import annotations

import random
import uuid
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import reduce
from operator import or_
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Case, Exists, F, Min, OuterRef, Q, QuerySet, Value, When
from django.utils import timezone

from webhooks import failing
from webhooks.models import Attempt, Delivery, Endpoint

MAX_RETRY_AFTER_SECONDS = 3600
RESPONSE_BYTES = 20_000
CLAIM_SECONDS = 20  # a worker that died is missed for so long
# Where the order of chats is kept, a delivery that fails holds back those behind it, but no longer than this.
HOLD_SECONDS = 15 * 60
_LOOK_AHEAD = 10  # batches among which lanes are sought
# The clock of the machine that wrote an event may be ahead of ours.
_CLOCK_SKEW = timedelta(seconds=2)


class Job(NamedTuple):
    """One delivery to be attempted now; ``attempt_count`` attempts were made before.

    Jobs of one ``lane`` (a chat, or what an instance has beside its chats) are attempted one after the other; if
    ``in_order``, one that fails holds back those behind it.
    """

    delivery_id: str
    attempt_count: int
    event_id: str
    event_at: datetime
    body: bytes
    lane: str
    in_order: bool = False
    replay: bool = False


class Batch(NamedTuple):
    """What is to be attempted and how: ``secrets`` sign, the newest first. If it is ``full``, more may be due."""

    url: str
    headers: dict[str, str]
    secrets: Sequence[str]
    in_order: bool
    jobs: list[Job]
    full: bool


class Outcome(NamedTuple):
    """What one attempt gave: a status and the reply's beginning, or an error in words."""

    job: Job
    at: datetime
    duration_ms: int
    status: int | None = None
    error: str = ""
    response: bytes = b""
    retry_after: str = ""
    request_id: str = ""

    @property
    def succeeded(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def take(endpoint_id: str, claim: uuid.UUID, limit: int) -> Batch | None:
    """Take or renew the claim on an endpoint and return what is due, oldest first, at most ``limit`` deliveries.

    What was taken under this claim before and not recorded or given back is not returned again. None if the
    endpoint is gone or disabled, or another process holds it.
    """
    with transaction.atomic():
        now = timezone.now()
        free = Q(claim=claim) | Q(claim=None) | Q(claimed_until__lt=now)
        mine = Endpoint.objects.filter(free, pk=endpoint_id, enabled=True)
        endpoint = mine.first()
        if not mine.update(claim=claim, claimed_until=now + timedelta(seconds=CLAIM_SECONDS)) or endpoint is None:
            return None
        if endpoint.claim != claim:
            # Nobody else is delivering now, so a row in that state was left by a process that died.
            _taken(endpoint_id).update(state=Delivery.State.PENDING)
        in_order = endpoint.ordering == Endpoint.Ordering.CHAT
        rows, full = _due(endpoint_id, now, limit, in_order, replay=False)
        if not full:
            replayed, full = _due(endpoint_id, now, limit - len(rows), in_order, replay=True)
            rows += replayed
        found = _not_held_back(endpoint_id, rows, now) if in_order else rows
        if found:
            Delivery.objects.filter(pk__in=[row.pk for row in found]).update(state=Delivery.State.DELIVERING)
        jobs = [_job(row) for row in found]
        return Batch(endpoint.url, endpoint.headers, endpoint.secrets_at(now), in_order, jobs, full)


def _due(endpoint_id: str, now: datetime, limit: int, in_order: bool, *, replay: bool) -> tuple[list[Delivery], bool]:
    """At most ``limit`` deliveries, and whether more may be due. Where order is kept, as many of each lane."""
    due = (
        Delivery.objects.filter(
            endpoint_id=endpoint_id,
            state=Delivery.State.PENDING,
            replay=replay,
            next_attempt_at__isnull=False,  # true of all that are pending, but so the planner sees that the index fits
            next_attempt_at__lte=now + _CLOCK_SKEW,
        )
        .filter(Q(next_attempt_at__lte=now) | Q(next_attempt_at=F("event__timestamp")))
        .order_by("next_attempt_at", "sequence")
    )
    rows = due.select_related("event")
    if not in_order:
        found = list(rows[:limit])
        return found, len(found) == limit
    # A lane that was held back becomes due as a whole. The next failure would hold most of it back again.
    known = list(due.values_list("lane", "pk")[: limit * _LOOK_AHEAD])
    lanes = defaultdict[str, list[str]](list)
    for lane, delivery_id in known:
        lanes[lane].append(delivery_id)
    each = -(-limit // max(1, len(lanes)))
    heads = [delivery_id for ids in lanes.values() for delivery_id in ids[:each]][:limit]
    return list(rows.filter(pk__in=heads)), len(heads) < len(known) or len(heads) == limit


def _job(row: Delivery) -> Job:
    event = row.event
    lane = row.lane or event.lane
    return Job(row.id, row.attempt_count, event.id, event.timestamp, event.encoded(), lane, bool(row.lane), row.replay)


def _taken(endpoint_id: str) -> QuerySet[Delivery]:
    return Delivery.objects.filter(endpoint_id=endpoint_id, state=Delivery.State.DELIVERING)


def _not_held_back(endpoint_id: str, rows: Sequence[Delivery], now: datetime) -> list[Delivery]:
    """Those with nothing of their lane before them that waits, and is not of ``rows``; in the order of their sequence.

    The others become due with the last of what holds them back. What has failed does so for HOLD_SECONDS at most, a
    replay holds back replays alone. What is under way is the line's to respect.
    """
    waiting = Delivery.objects.filter(
        ~Q(lane=""), endpoint_id=endpoint_id, state=Delivery.State.PENDING, next_attempt_at__isnull=False
    ).exclude(pk__in=[row.pk for row in rows])
    failed_long_ago = Attempt.objects.filter(delivery=OuterRef("pk"), at__lte=now - timedelta(seconds=HOLD_SECONDS))
    waiting = waiting.filter(Q(attempt_count=0) | ~Exists(failed_long_ago))
    before = waiting.filter(
        Q(replay=False) | Q(replay=OuterRef("replay")), lane=OuterRef("lane"), sequence__lt=OuterRef("sequence")
    )
    among = Delivery.objects.filter(~Q(lane=""), pk__in=[row.pk for row in rows])
    held = set(among.filter(Exists(before)).values_list("pk", flat=True))
    if held:
        _wait_for(waiting, [row for row in rows if row.pk in held], now)
    return sorted((row for row in rows if row.pk not in held), key=lambda row: row.sequence)


def _wait_for(waiting: QuerySet[Delivery], held: Sequence[Delivery], now: datetime) -> None:
    """Have those that are held become due with the last of their lane before them."""
    newest: dict[str, int] = {}
    for row in held:
        newest[row.lane] = max(row.sequence, newest.get(row.lane, 0))
    behind = reduce(or_, (Q(lane=lane, sequence__lt=sequence) for lane, sequence in newest.items()))
    holding = defaultdict[str, list[tuple[int, bool, datetime]]](list)
    for row in waiting.filter(behind).annotate(first=Min("attempts__at")):
        assert row.next_attempt_at is not None
        lets_go = (row.first or now) + timedelta(seconds=HOLD_SECONDS) if row.attempt_count else row.next_attempt_at
        holding[row.lane].append((row.sequence, row.replay, min(row.next_attempt_at, lets_go)))
    waits = defaultdict[datetime, list[str]](list)
    for row in held:
        before = (at for number, replay, at in holding[row.lane] if number < row.sequence and replay <= row.replay)
        waits[max(before, default=now)].append(row.pk)
    for at, delivery_ids in waits.items():
        Delivery.objects.filter(pk__in=delivery_ids, state=Delivery.State.PENDING).update(next_attempt_at=at)


class Recorded(NamedTuple):
    """``go_on`` is False if there is no reason to; ``due`` is told with the last record, None if nothing is open.

    Not ``claimed``: another process has the endpoint, and nothing was written.
    """

    go_on: bool
    claimed: bool = True
    due: datetime | None = None


def record(
    endpoint_id: str, claim: uuid.UUID, outcomes: Sequence[Outcome], unused: Sequence[Job] = (), last: bool = False
) -> Recorded:
    """Keep the attempts, move the deliveries on and renew the claim, or give it up with the last of them.

    ``unused`` are jobs that are given back without an attempt. If the claim was lost nothing is written: who has it
    now makes these deliveries again. What failures lead to stands in `webhooks.failing`.
    """
    with transaction.atomic():
        until = None if last else timezone.now() + timedelta(seconds=CLAIM_SECONDS)
        mine = Endpoint.objects.filter(pk=endpoint_id, claim=claim)
        if not mine.update(claim=None if last else claim, claimed_until=until):
            return Recorded(go_on=False, claimed=False)
        Attempt.objects.bulk_create(_attempt(outcome) for outcome in outcomes)
        _move([o.job.delivery_id for o in outcomes if o.succeeded], Delivery.State.SUCCEEDED, None)
        if unused:
            given_back = _taken(endpoint_id).filter(pk__in=[job.delivery_id for job in unused])
            given_back.update(state=Delivery.State.PENDING)
        _postpone(endpoint_id, [outcome for outcome in outcomes if not outcome.succeeded])
        go_on = _note(endpoint_id, outcomes)
        # Who was refused the claim while we had it counts on this look after it was given up.
        return Recorded(go_on, due=next_due_at(endpoint_id) if last else None)


def _note(endpoint_id: str, outcomes: Sequence[Outcome]) -> bool:
    """False if the endpoint is disabled, or is so now."""
    if not outcomes:
        return Endpoint.objects.filter(pk=endpoint_id, enabled=True).exists()
    return failing.after_attempts(
        endpoint_id=endpoint_id,
        succeeded=any(outcome.succeeded for outcome in outcomes),
        gone=any(outcome.status == 410 for outcome in outcomes),
        now=timezone.now(),
    )


def _postpone(endpoint_id: str, failed: Sequence[Outcome]) -> None:
    """Give what failed its next attempt, or none. Where order is kept, those behind wait with it.

    Otherwise `take` would come upon them again and again.
    """
    again = {outcome: at for outcome in failed if (at := next_attempt_at(outcome))}
    _move([outcome.job.delivery_id for outcome in failed if outcome not in again], Delivery.State.FAILED, None)
    due = Case(*(When(pk=outcome.job.delivery_id, then=Value(at)) for outcome, at in again.items()))
    _move([outcome.job.delivery_id for outcome in again], Delivery.State.PENDING, due)
    holding = {outcome.job: at for outcome, at in again.items() if outcome.job.in_order}
    attempts = Attempt.objects.filter(delivery__in=[job.delivery_id for job in holding])
    first = dict(attempts.values_list("delivery").annotate(Min("at")))
    lets_go = {job: first[job.delivery_id] + timedelta(seconds=HOLD_SECONDS) for job in holding}
    for replay in (False, True):  # a replay holds back replays alone
        lanes = {job.lane: min(at, lets_go[job]) for job, at in holding.items() if job.replay == replay}
        if lanes:
            behind = Delivery.objects.filter(endpoint_id=endpoint_id, state=Delivery.State.PENDING, attempt_count=0)
            until = Case(*(When(lane=lane, then=Value(at)) for lane, at in lanes.items()))
            behind = behind.filter(~Q(lane=""), lane__in=lanes, next_attempt_at__lt=until)
            (behind.filter(replay=True) if replay else behind).update(next_attempt_at=until)


def _move(delivery_ids: Collection[str], state: Delivery.State, at: Case | None) -> None:
    if delivery_ids:
        rows = Delivery.objects.filter(pk__in=delivery_ids)
        rows.update(state=state, attempt_count=F("attempt_count") + 1, next_attempt_at=at)


def release(endpoint_id: str, claim: uuid.UUID) -> datetime | None:
    """Give the endpoint back, and with it the deliveries that were taken but not attempted; when the next is due.

    Idempotent.
    """
    with transaction.atomic():
        if Endpoint.objects.filter(pk=endpoint_id, claim=claim).update(claim=None, claimed_until=None):
            _taken(endpoint_id).update(state=Delivery.State.PENDING)
        return next_due_at(endpoint_id)


def next_due_at(endpoint_id: str) -> datetime | None:
    """When the endpoint's next open delivery is due; None if there is none."""
    rows = Delivery.objects.filter(endpoint_id=endpoint_id, endpoint__enabled=True, next_attempt_at__isnull=False)
    return rows.order_by("next_attempt_at").values_list("next_attempt_at", flat=True).first()


def neglected(limit: int = 1000) -> list[str]:
    """Endpoints with something due that nobody delivers to."""
    now = timezone.now()
    due = Delivery.objects.filter(endpoint=OuterRef("pk"), next_attempt_at__lte=now)
    free = Q(claim=None) | Q(claimed_until__lt=now)
    return list(Endpoint.objects.filter(free, Exists(due), enabled=True).values_list("pk", flat=True)[:limit])


def next_attempt_at(outcome: Outcome) -> datetime | None:
    """When to try again after a failed attempt: the schedule with 20 % jitter, or later if the receiver asks.

    None after the last attempt, and after a 410.
    """
    waits = settings.WEBHOOK_RETRY_SECONDS
    if outcome.status == 410 or outcome.job.attempt_count >= len(waits):
        return None
    seconds = waits[outcome.job.attempt_count] * random.uniform(0.8, 1.2)  # noqa: S311
    return outcome.at + timedelta(seconds=max(seconds, asked_seconds(outcome)))


def asked_seconds(outcome: Outcome) -> float:
    """What Retry-After, a number or a date, asks for; at most MAX_RETRY_AFTER_SECONDS."""
    text = outcome.retry_after.strip()
    if text.isascii() and text.isdigit():
        return min(int(text[:9]), MAX_RETRY_AFTER_SECONDS)
    try:
        seconds = (parsedate_to_datetime(text) - outcome.at).total_seconds()
    except (TypeError, ValueError):
        return 0
    return min(seconds, MAX_RETRY_AFTER_SECONDS)


def _attempt(outcome: Outcome) -> Attempt:
    # PostgreSQL cannot store the character NUL in a text.
    response = outcome.response[:RESPONSE_BYTES].decode(errors="replace").replace("\x00", "\ufffd")
    return Attempt(
        delivery_id=outcome.job.delivery_id,
        at=outcome.at,
        duration_ms=outcome.duration_ms,
        status=outcome.status,
        error=outcome.error,
        response=response,
        request_id=outcome.request_id,
    )
