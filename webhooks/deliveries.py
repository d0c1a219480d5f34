"""The database side of delivering: who may deliver to an endpoint, what is due, and what came of it.

One process at a time delivers to an endpoint: it holds a claim that expires, taken and renewed by
compare-and-swap. If it dies, whoever claims next finds its deliveries still open and makes them again, so
an event arrives at least once.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from webhooks.models import Attempt, Delivery, Endpoint

# Seconds from a failed attempt to the next one; after the tenth attempt a delivery has failed for good.
RETRY_SECONDS = (5, 5 * 60, 30 * 60, *(hours * 3600 for hours in (2, 5, 10, 14, 20, 24)))
MAX_RETRY_AFTER_SECONDS = 3600
RESPONSE_BYTES = 20_000
BATCH = 20
CLAIM_SECONDS = 60
# The clock of the machine that wrote an event may be ahead of ours.
_CLOCK_SKEW = timedelta(seconds=2)


class Job(NamedTuple):
    """One delivery to be attempted now; ``attempt_count`` attempts were made before."""

    delivery_id: str
    attempt_count: int
    event_id: str
    event_at: datetime
    body: bytes


class Batch(NamedTuple):
    url: str
    secret: str
    jobs: list[Job]


class Outcome(NamedTuple):
    """What one attempt gave: a status and the reply's beginning, or an error in words."""

    job: Job
    at: datetime
    duration_ms: int
    status: int | None = None
    error: str = ""
    response: bytes = b""
    retry_after: str = ""

    @property
    def succeeded(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def take(endpoint_id: str, claim: uuid.UUID) -> Batch | None:
    """Take or renew the claim on an endpoint and return what is due, oldest first, at most BATCH deliveries.

    None if the endpoint is gone or disabled, or another process holds it.
    """
    with transaction.atomic():
        now = timezone.now()
        free = Q(claim=claim) | Q(claim=None) | Q(claimed_until__lt=now)
        mine = Endpoint.objects.filter(free, pk=endpoint_id, enabled=True)
        if not mine.update(claim=claim, claimed_until=now + timedelta(seconds=CLAIM_SECONDS)):
            return None
        endpoint = Endpoint.objects.get(pk=endpoint_id)
        # Under our claim nobody else is delivering, so a row in that state was left by a process that died.
        due = (
            Delivery.objects.filter(endpoint=endpoint, next_attempt_at__lte=now + _CLOCK_SKEW)
            .select_related("event")
            .order_by("next_attempt_at", "event__sequence")[:BATCH]
        )
        jobs = [Job(row.id, row.attempt_count, row.event_id, row.event.timestamp, row.event.encoded()) for row in due]
        if jobs:
            Delivery.objects.filter(pk__in=[job.delivery_id for job in jobs]).update(state=Delivery.State.DELIVERING)
        return Batch(endpoint.url, endpoint.secret, jobs)


def record(endpoint_id: str, claim: uuid.UUID, outcomes: Sequence[Outcome]) -> bool:
    """Keep the attempts, move the deliveries on and renew the claim; False if there is no reason to go on.

    If the claim was lost nothing is written: who has it now makes these deliveries again. A reply of 410
    disables the endpoint.
    """
    with transaction.atomic():
        until = timezone.now() + timedelta(seconds=CLAIM_SECONDS)
        if not Endpoint.objects.filter(pk=endpoint_id, claim=claim).update(claimed_until=until):
            return False
        Attempt.objects.bulk_create(_attempt(outcome) for outcome in outcomes)
        Delivery.objects.filter(pk__in=[o.job.delivery_id for o in outcomes if o.succeeded]).update(
            state=Delivery.State.SUCCEEDED, attempt_count=F("attempt_count") + 1, next_attempt_at=None
        )
        for outcome in outcomes:
            if not outcome.succeeded:
                at = next_attempt_at(outcome)
                state = Delivery.State.PENDING if at else Delivery.State.FAILED
                Delivery.objects.filter(pk=outcome.job.delivery_id).update(
                    state=state, attempt_count=F("attempt_count") + 1, next_attempt_at=at
                )
        if any(outcome.status == 410 for outcome in outcomes):
            Endpoint.objects.filter(pk=endpoint_id).update(enabled=False, disabled_reason="The receiver answered 410.")
        return Endpoint.objects.filter(pk=endpoint_id, enabled=True).exists()


def release(endpoint_id: str, claim: uuid.UUID) -> None:
    """Give the endpoint back, and with it the deliveries that were taken but not attempted. Idempotent."""
    with transaction.atomic():
        if Endpoint.objects.filter(pk=endpoint_id, claim=claim).update(claim=None, claimed_until=None):
            taken = Delivery.objects.filter(endpoint_id=endpoint_id, next_attempt_at__isnull=False)
            taken.filter(state=Delivery.State.DELIVERING).update(state=Delivery.State.PENDING)


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
    if outcome.status == 410 or outcome.job.attempt_count >= len(RETRY_SECONDS):
        return None
    seconds = RETRY_SECONDS[outcome.job.attempt_count] * random.uniform(0.8, 1.2)  # noqa: S311
    return outcome.at + timedelta(seconds=max(seconds, _asked_seconds(outcome)))


def _asked_seconds(outcome: Outcome) -> float:
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
    )
