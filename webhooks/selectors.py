from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from accounts.actor import Actor
from webhooks.models import Counter, Event


class Frame(NamedTuple):
    """An event as live listeners get it: ``text`` is its payload in JSON."""

    instance_id: str
    sequence: int
    text: str


def frame(event: Event) -> Frame:
    return Frame(event.instance_id, event.sequence, event.encoded().decode())


def positions(actor: Actor) -> dict[str, int]:
    """The last sequence of each instance whose events the actor may see."""
    rows = Counter.objects.filter(organization_id=actor.organization_id, network__in=actor.networks)
    return dict(rows.values_list("instance_id", "value"))


def frames_after(actor: Actor, instance_id: str, sequence: int, limit: int) -> Sequence[Frame]:
    """The next events of an instance that the actor may see, in order, at most ``limit``."""
    rows = Event.objects.filter(
        organization_id=actor.organization_id,
        network__in=actor.networks,
        instance_id=instance_id,
        sequence__gt=sequence,
    )
    return [frame(event) for event in rows.order_by("sequence")[:limit]]
