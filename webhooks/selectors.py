from __future__ import annotations

import heapq
import itertools
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import QuerySet

from accounts.actor import Actor
from accounts.models import Organization
from config import bulk
from config.ids import from_uuid
from webhooks import catalogue
from webhooks.cursors import BEGINNING, LATEST, Positions
from webhooks.models import Counter, Event, stream_of

MOST_ROWS = 1000  # that one `read` looks at, wanted or not

# Sequences have no gaps, so a range of them is as good as a limit. LATERAL and OFFSET, or CROSS JOIN, keep the
# planners from reading the whole log to join it: each stream is one short walk along its index.
_OF_INSTANCES = {
    "postgresql": """
SELECT found.* FROM behind CROSS JOIN LATERAL (
  SELECT id, instance_id, network, sequence, timestamp, type FROM webhooks_event
  WHERE instance_id = behind.instance AND sequence > low AND sequence <= high AND organization_id = %s
  ORDER BY sequence OFFSET 0
) AS found""",
    "sqlite": """
SELECT id, instance_id, network, sequence, timestamp, type FROM behind CROSS JOIN webhooks_event
WHERE instance_id = instance AND sequence > low AND sequence <= high AND organization_id = %s""",
}
_OWN = """
SELECT id, instance_id, network, sequence, timestamp, type FROM webhooks_event
WHERE instance_id IS NULL AND organization_id = %s AND network = %s AND sequence > %s AND sequence <= %s"""


class Read(NamedTuple):
    """``positions`` are those after the ``events``; ``more`` are behind them, unless a filter leaves them out.

    ``skipped`` events were pruned before this reader came to them, wanted or not.
    """

    events: list[Event]
    positions: Positions
    more: bool
    skipped: int


class _Range(NamedTuple):
    """Of a stream: the sequences after ``low`` up to ``high``."""

    counter: Counter
    low: int
    high: int


class _Head(NamedTuple):
    """An event without its data; ``timestamp`` is as the driver gives it, good for comparing."""

    id: str
    stream: str
    sequence: int
    timestamp: Any
    type: str


def _counters(actor: Actor) -> QuerySet[Counter]:
    """The streams whose events the actor may see; one limited to instances does not see the organization's own."""
    rows = Counter.objects.filter(organization_id=actor.organization_id, network__in=actor.networks)
    return rows if actor.instances is None else rows.filter(instance_id__in=actor.instances)


def read(
    actor: Actor,
    positions: Mapping[str, int],
    *,
    limit: int,
    types: Collection[str] | None = None,
    instances: Collection[str] | None = None,
) -> Read:
    """The next events that the actor may see and wants, at most ``limit``, after the positions (by streams' hex).

    ``types`` are patterns; ``instances`` leaves out the other instances and the organization's own affairs, and
    their positions stay where they are. Events are merged by time, never out of order within a stream; with more
    than MOST_ROWS / ``limit`` streams behind, one page's events of other streams may be older than the last page's.
    At most MOST_ROWS are looked at: events may be empty although there are more. Positions beyond the end of a
    stream, such as those of a database that was since restored, count as its end. Three queries.
    """
    reached: dict[str, int] = {}
    behind: list[Counter] = []
    skipped = 0
    for counter in _counters(actor).order_by("clock"):
        stream = counter.stream.hex
        reached[stream] = _start(positions, counter)
        if instances is None or counter.instance_id in instances:
            skipped += max(0, counter.pruned - reached[stream])
            reached[stream] = max(counter.pruned, reached[stream])
            if reached[stream] < counter.value:
                behind.append(counter)
    most = MOST_ROWS // max(1, min(len(behind), MOST_ROWS))
    most = most if types is not None else min(most, limit)
    ranges = {}
    for counter in behind[:MOST_ROWS]:
        low = reached[counter.stream.hex]
        ranges[counter.stream.hex] = _Range(counter, low, min(low + most, counter.value))
    heads = iter(_merged(_heads(actor, ranges.values())))
    wanted: list[str] = []
    unread: set[str] = set()
    for head in heads:
        if len(wanted) == limit:
            unread = {one.stream for one in itertools.chain([head], heads)}
            break
        skipped += head.sequence - reached[head.stream] - 1
        reached[head.stream] = head.sequence
        if types is None or catalogue.matches(types, head.type):
            wanted.append(head.id)
    # What is committed and not found was pruned after the counters were read.
    for stream in ranges.keys() - unread:
        skipped += ranges[stream].high - reached[stream]
        reached[stream] = ranges[stream].high
    found = Event.objects.in_bulk(wanted) if wanted else {}
    events = [found[id_] for id_ in wanted if id_ in found]
    more = any(reached[counter.stream.hex] < counter.value for counter in behind)
    return Read(events, Positions(reached), more, skipped + len(wanted) - len(events))


def _start(positions: Mapping[str, int], counter: Counter) -> int:
    if positions is LATEST:
        return counter.value
    if positions is BEGINNING:
        return counter.pruned
    return min(positions.get(counter.stream.hex, 0), counter.value)


def _heads(actor: Actor, ranges: Collection[_Range]) -> Iterable[_Head]:
    """The events of all the ranges, those of one stream in order, in one statement."""
    key = Organization._meta.get_field("id").get_db_prep_value(actor.organization_id, connection)
    of_instances = [(one.counter.instance_id, one.low, one.high) for one in ranges if one.counter.instance_id]
    head, parts = "", []
    parameters: list[Any] = []
    if of_instances:
        relation, parameters = bulk.values(Event, ["instance_id", "sequence", "sequence"], of_instances)
        head = f"WITH behind (instance, low, high) AS ({relation})"
        parts.append(_OF_INSTANCES[connection.vendor])
        parameters.append(key)
    for one in ranges:
        if one.counter.instance_id is None:
            parts.append(_OWN)
            parameters += [key, one.counter.network, one.low, one.high]
    if not parts:
        return
    with connection.cursor() as cursor:
        cursor.execute(f"{head}{' UNION ALL '.join(parts)} ORDER BY sequence", parameters)
        for id_, instance, network, sequence, timestamp, type_ in cursor.fetchall():
            own = stream_of(actor.organization_id, None, network).hex if instance is None else ""
            yield _Head(from_uuid(_uuid(id_), "evt"), own or _uuid(instance).hex, sequence, timestamp, type_)


def _uuid(value: Any) -> uuid.UUID:
    return value if isinstance(value, uuid.UUID) else uuid.UUID(value)


def _merged(heads: Iterable[_Head]) -> Iterable[_Head]:
    """By time and id, which leaves each stream's own order as it is."""
    streams: dict[str, list[_Head]] = defaultdict(list)
    for head in heads:
        streams[head.stream].append(head)
    return heapq.merge(*streams.values(), key=lambda head: (head.timestamp, head.id))
