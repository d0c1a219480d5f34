"""Settles what became of messages whose sending was cut short (docs/decisions/0003-settling-doubt.md)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import structlog

from instances.whatsapp.store import Store, Trace
from messaging.ledger import Outcome
from messaging.models import Message
from messaging.states import Status

log = structlog.get_logger(__name__)


def settle(store: Store, rows: Sequence[Message]) -> Iterator[Outcome]:
    """What became of messages whose sending a dead process had begun: all of one batch, in the order of the lane.

    The number must be offline. The lane begins a message only when the one before has its
    acknowledgement or its failure is written, so only the last one begun can be in doubt.
    """
    traces = [store.trace(bytes(row.secret)) for row in rows]
    begun = [place for place, (_, wa_id) in enumerate(traces) if wa_id is not None]
    for place, (row, (trace, wa_id)) in enumerate(zip(rows, traces, strict=True)):
        log.info("doubt_settled", message=row.pk, trace=trace.name, last=place in begun[-1:])
        if trace is not Trace.POSSIBLE:
            store.forget_secret(bytes(row.secret))
            detail = "The worker ended before the message left."
            yield Outcome(row.pk, Status.QUEUED, error_code="worker_lost", error_detail=detail)
        elif wa_id is not None and place < begun[-1]:
            yield Outcome(row.pk, Status.SENT, wa_id, datetime.now(UTC))
        else:
            detail = "The worker ended while the message was being sent; a receipt will tell."
            yield Outcome(row.pk, Status.UNCONFIRMED, wa_id, error_code="worker_lost", error_detail=detail)
