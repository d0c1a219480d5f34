"""Events as live listeners get them: from the channel layer, or from the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from webhooks import cursors
from webhooks.models import Counter, Event


class Frame(NamedTuple):
    """``stream`` says whose sequence it is, by the name that cursors use, ``text`` is the event's payload in JSON."""

    stream: str
    network: str
    instance: str | None
    sequence: int
    type: str
    text: str


class End(NamedTuple):
    """The last sequence of one stream."""

    stream: str
    network: str
    instance: str | None
    sequence: int


def frame(event: Event) -> Frame:
    stream, text = cursors.name(event.stream.hex), event.encoded().decode()
    return Frame(stream, event.network, event.instance_id, event.sequence, event.type, text)


def ends(organization_id: str) -> Sequence[End]:
    """How far each stream of an organization has come. One query."""
    rows = Counter.objects.filter(organization_id=organization_id)
    columns = rows.values_list("stream", "network", "instance_id", "value")
    return [End(cursors.name(stream.hex), network, instance, value) for stream, network, instance, value in columns]


def frames_between(organization_id: str, end: End, after: int, limit: int) -> Sequence[Frame]:
    """What is kept of a stream behind the sequence ``after`` up to its end, in order, at most ``limit``. One query."""
    rows = Event.objects.filter(
        organization_id=organization_id,
        network=end.network,
        instance_id=end.instance,
        sequence__gt=after,
        sequence__lte=end.sequence,
    )
    return [frame(event) for event in rows.order_by("sequence")[:limit]]
