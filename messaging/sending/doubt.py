"""Settles what became of messages whose sending was cut short (docs/decisions/0003-settling-doubt.md)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import structlog

from instances.whatsapp.store import Store, Trace
from messaging.models import Message
from messaging.sending.ledger import Outcome
from messaging.sending.sender import AT_ONCE
from messaging.states import Status

log = structlog.get_logger(__name__)


def settle(store: Store, rows: Sequence[Message]) -> Iterator[Outcome]:
    """What became of messages whose sending was begun and not recorded, in the order given.

    Of those that were claimed only the first can be the reason for an end of the worker: the others' attempt does not
    count.

    The number must be offline. A message is begun only when the one before has its acknowledgement or its
    failure is written, so only the last one begun can be in doubt. The store knows the order of beginning.
    """
    trails = [store.trace(bytes(row.secret)) for row in rows]
    last = max((trail.place for trail in trails), default=0)
    unbegun = [row.pk for row, trail in zip(rows, trails, strict=True) if trail.trace is Trace.ABSENT]
    for row, (trace, wa_id, place) in zip(rows, trails, strict=True):
        log.info("doubt_settled", message=row.pk, trace=trace.name, last=place == last)
        if trace is not Trace.POSSIBLE:
            store.forget_secret(bytes(row.secret))
            detail = "The worker ended before the message left."
            reached = row.pk not in unbegun[AT_ONCE:]
            yield Outcome(row.pk, Status.QUEUED, error_code="worker_lost", error_detail=detail, attempted=reached)
        elif wa_id is not None and place < last:
            yield Outcome(row.pk, Status.SENT, wa_id, datetime.now(UTC))
        else:
            detail = "The worker ended while the message was being sent; a receipt will tell."
            yield Outcome(row.pk, Status.UNCONFIRMED, wa_id, error_code="worker_lost", error_detail=detail)
