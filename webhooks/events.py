"""The event log: append-only, one gap-free sequence per instance, and one per organization for its own affairs."""

from __future__ import annotations

import time
import uuid
from collections import Counter as Tally
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from django.db import connection, transaction

from accounts.models import Organization
from config import bulk
from webhooks import announcer, truncation
from webhooks.catalogue import TYPES
from webhooks.models import Counter, Delivery, Endpoint, Event, stream_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS = ("id", "organization", "network", "instance_id", "type", "sequence", "timestamp", "data")

# Rows are upserted, and so locked, in the order given: with sorted rows no two appends can deadlock.
_ADVANCE = """
INSERT INTO {table} (stream, instance_id, organization_id, network, value, clock) VALUES {rows}
ON CONFLICT (stream) DO UPDATE SET
  value = {table}.value + excluded.value,
  clock = CASE WHEN excluded.clock > {table}.clock THEN excluded.clock ELSE {table}.clock END
RETURNING stream, value, clock
"""

# By hand: the ORM takes longer to build this query than the database to answer it.
_ENDPOINTS = """
SELECT id, organization_id, mode, events, instances, chat_kinds, ordering FROM webhooks_endpoint
WHERE organization_id IN ({}) AND enabled
"""


class Draft(NamedTuple):
    """An event to be: ``network`` is ``sandbox`` or ``whatsapp``, ``data`` holds JSON values only.

    Without an instance it tells of the organization itself.
    """

    organization_id: str
    instance_id: str | None
    network: str
    type: str
    data: dict[str, Any]


def append(drafts: Sequence[Draft], *, only_to: str | None = None) -> list[Event]:
    """Write events, and their deliveries, in the caller's transaction; returns them in the order given.

    With ``only_to``, an endpoint's id, that endpoint gets them whatever it wants, and no other does.

    Each stream's sequence grows by one per event without gaps. The counters of all streams concerned
    stay locked until the transaction ends, so append late and once per transaction. After the commit the
    listeners are told from another thread: a broker or Redis that is away neither slows nor fails the
    caller. Data that would make an event too large is cut. Four statements, however many drafts.

    Raises ValueError for an unknown type.
    """
    assert connection.in_atomic_block, "events are written in the transaction of what they report"
    if unknown := {draft.type for draft in drafts} - TYPES.keys():
        raise ValueError(f"unknown event types: {', '.join(sorted(unknown))}")
    if not drafts:
        return []
    streams = [stream_of(draft.organization_id, draft.instance_id, draft.network) for draft in drafts]
    last, moment = {}, {}
    for stream, value, clock in _advance(dict(zip(streams, drafts, strict=True)), Tally(streams)):
        last[stream], moment[stream] = value, _EPOCH + timedelta(microseconds=clock)
    left, events = Tally(streams), []
    for draft, stream in zip(drafts, streams, strict=True):
        left[stream] -= 1
        events.append(Event(**draft._asdict(), sequence=last[stream] - left[stream], timestamp=moment[stream]))
    bulk.insert(Event, _COLUMNS, map(_row, events))
    endpoints = _schedule(events, only_to)
    transaction.on_commit(partial(announcer.announce, events, endpoints), robust=True)
    return events


def _row(event: Event) -> tuple[Any, ...]:
    event.data, data = truncation.encode(event.data)
    return (
        event.id,
        event.organization_id,
        event.network,
        event.instance_id,
        event.type,
        event.sequence,
        event.timestamp,
        data.decode(),
    )


def _advance(owners: dict[uuid.UUID, Draft], counts: Tally[uuid.UUID]) -> list[tuple[uuid.UUID, int, int]]:
    """Move the counter of each stream; returns (stream, new value, time in microseconds)."""
    fields = [Counter._meta.get_field(name) for name in ("stream", "instance_id", "organization")]
    now, parameters = time.time_ns() // 1000, []
    for stream in sorted(counts):
        owner = owners[stream]
        ids = (stream, owner.instance_id, owner.organization_id)
        for field, value in zip(fields, ids, strict=True):
            parameters.append(field.get_db_prep_value(value, connection))  # type: ignore[union-attr]
        parameters += [owner.network, counts[stream], now]
    rows = ", ".join(["(%s, %s, %s, %s, %s, %s)"] * len(counts))
    with connection.cursor() as cursor:
        cursor.execute(_ADVANCE.format(table=Counter._meta.db_table, rows=rows), parameters)
        found = cursor.fetchall()
    return [(row[0] if isinstance(row[0], uuid.UUID) else uuid.UUID(row[0]), *row[1:]) for row in found]


def _schedule(events: Sequence[Event], only_to: str | None) -> list[str]:
    """Write a delivery for each event and each enabled endpoint that wants it; returns the endpoints' ids."""
    # The time of the event is the due time: within an instance it never goes back, so it also is the order.
    deliveries = [
        Delivery(
            endpoint=endpoint,
            event=event,
            type=event.type,
            next_attempt_at=event.timestamp,
            lane=event.lane if endpoint.ordering == Endpoint.Ordering.CHAT else "",
            sequence=event.sequence,
        )
        for endpoint in _endpoints({event.organization_id for event in events})
        for event in events
        if (endpoint.wants(event) if only_to is None else endpoint.id == only_to)
    ]
    if deliveries:
        Delivery.objects.bulk_create(deliveries)
    return list({delivery.endpoint_id for delivery in deliveries})


def _endpoints(organization_ids: Collection[str]) -> Iterable[Endpoint]:
    key = Organization._meta.get_field("id")
    places = ", ".join(["%s"] * len(organization_ids))
    return Endpoint.objects.raw(
        _ENDPOINTS.format(places), [key.get_db_prep_value(i, connection) for i in organization_ids]
    )
