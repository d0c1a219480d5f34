"""The event log: append-only, one gap-free sequence per instance."""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from django.db import connection, transaction

from webhooks import announcer
from webhooks.catalogue import TYPES
from webhooks.models import Counter, Delivery, Endpoint, Event

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Rows are upserted, and so locked, in the order given: with sorted rows no two appends can deadlock.
_ADVANCE = """
INSERT INTO {table} (instance_id, organization_id, network, value, clock) VALUES {rows}
ON CONFLICT (instance_id) DO UPDATE SET
  value = {table}.value + excluded.value,
  clock = CASE WHEN excluded.clock > {table}.clock THEN excluded.clock ELSE {table}.clock END
RETURNING instance_id, value, clock
"""


class Draft(NamedTuple):
    """An event to be: ``network`` is ``sandbox`` or ``whatsapp``, ``data`` holds JSON values only."""

    organization_id: str
    instance_id: str
    network: str
    type: str
    data: dict[str, Any]


def append(drafts: Sequence[Draft]) -> list[Event]:
    """Write events, and their deliveries, in the caller's transaction; returns them in the order given.

    Each instance's sequence grows by one per event without gaps. The counters of all instances concerned
    stay locked until the transaction ends, so append late and once per transaction. After the commit the
    listeners are told from another thread: a broker or Redis that is away neither slows nor fails the
    caller. Four statements, however many drafts (SQLite splits very large batches).

    Raises ValueError for an unknown type.
    """
    assert connection.in_atomic_block, "events are written in the transaction of what they report"
    if unknown := {draft.type for draft in drafts} - TYPES.keys():
        raise ValueError(f"unknown event types: {', '.join(sorted(unknown))}")
    if not drafts:
        return []
    last, moment = {}, {}
    for instance_id, value, clock in _advance(drafts):
        last[instance_id], moment[instance_id] = value, _EPOCH + timedelta(microseconds=clock)
    left, events = Tally(draft.instance_id for draft in drafts), []
    for draft in drafts:
        left[draft.instance_id] -= 1
        sequence = last[draft.instance_id] - left[draft.instance_id]
        events.append(Event(**draft._asdict(), sequence=sequence, timestamp=moment[draft.instance_id]))
    Event.objects.bulk_create(events)
    endpoints = _schedule(events)
    transaction.on_commit(partial(announcer.announce, events, endpoints), robust=True)
    return events


def _advance(drafts: Sequence[Draft]) -> list[tuple[str, int, int]]:
    """Move the counter of each instance; returns (instance, new value, time in microseconds)."""
    counts, owners = Tally(draft.instance_id for draft in drafts), {draft.instance_id: draft for draft in drafts}
    instance, organization = Counter._meta.get_field("instance_id"), Counter._meta.get_field("organization")
    now, parameters = time.time_ns() // 1000, []
    for instance_id in sorted(counts):
        owner = owners[instance_id]
        parameters += [
            instance.get_db_prep_value(instance_id, connection),
            organization.get_db_prep_value(owner.organization_id, connection),
            owner.network,
            counts[instance_id],
            now,
        ]
    rows = ", ".join(["(%s, %s, %s, %s, %s)"] * len(counts))
    with connection.cursor() as cursor:
        cursor.execute(_ADVANCE.format(table=Counter._meta.db_table, rows=rows), parameters)
        return [(str(instance.from_db_value(row[0], None, connection)), *row[1:]) for row in cursor.fetchall()]


def _schedule(events: Sequence[Event]) -> list[str]:
    """Write a delivery for each event and each enabled endpoint that wants it; returns the endpoints' ids."""
    organizations = {event.organization_id for event in events}
    endpoints = Endpoint.objects.filter(organization_id__in=organizations, enabled=True).defer("secret")
    # The time of the event is the due time: within an instance it never goes back, so it also is the order.
    deliveries = [
        Delivery(endpoint=endpoint, event=event, next_attempt_at=event.timestamp)
        for endpoint in endpoints
        for event in events
        if endpoint.wants(event)
    ]
    if deliveries:
        Delivery.objects.bulk_create(deliveries)
    return list({delivery.endpoint_id for delivery in deliveries})
