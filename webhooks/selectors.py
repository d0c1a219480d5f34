from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from django.db.models import QuerySet

from accounts.actor import Actor
from webhooks.models import Counter, Event


class Frame(NamedTuple):
    """An event as live listeners get it: ``stream`` says whose sequence it is, ``text`` is its payload in JSON."""

    stream: str
    sequence: int
    text: str


def frame(event: Event) -> Frame:
    return Frame(event.stream.hex, event.sequence, event.encoded().decode())


def _counters(actor: Actor) -> QuerySet[Counter]:
    """The streams whose events the actor may see; one limited to instances does not see the organization's own."""
    rows = Counter.objects.filter(organization_id=actor.organization_id, network__in=actor.networks)
    return rows if actor.instances is None else rows.filter(instance_id__in=actor.instances)


def positions(actor: Actor) -> dict[str, int]:
    """The last sequence of each stream whose events the actor may see."""
    rows = _counters(actor)
    return {stream.hex: value for stream, value in rows.values_list("stream", "value")}


def frames_after(actor: Actor, stream: str, sequence: int, limit: int) -> Sequence[Frame]:
    """The next events of a stream that the actor may see, in order, at most ``limit``."""
    counter = _counters(actor).filter(stream=stream).first()
    if counter is None:
        return []
    rows = Event.objects.filter(
        organization_id=actor.organization_id,
        network=counter.network,
        instance_id=counter.instance_id,
        sequence__gt=sequence,
    )
    return [frame(event) for event in rows.order_by("sequence")[:limit]]
