"""Takes a person's data out of the event log, for the right to be forgotten. The events themselves stay, with their
sequence: a listener sees that something was there.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from webhooks.models import Event

_KEPT = ("id", "instance", "direction", "status", "type", "created_at")


class Scrubbed(NamedTuple):
    """How many events were changed, the last sequence that was looked at, and whether there may be more."""

    changed: int
    last: int
    more: bool


def scrub(*, instance_id: str, names: Collection[str], after: int, limit: int) -> Scrubbed:
    """Look at the next events of an instance after a sequence; whichever holds one of the names loses its data.

    A name is a phone number, a JID or an LID, and is found as a whole value anywhere in the data. In the caller's
    transaction. Deliveries that are still to be made carry what is left.
    """
    rows = list(Event.objects.filter(instance_id=instance_id, sequence__gt=after).order_by("sequence")[:limit])
    found = [row for row in rows if _holds(row.data, frozenset(names))]
    for row in found:
        row.data = {name: row.data[name] for name in _KEPT if name in row.data} | {"erased": True}
    Event.objects.bulk_update(found, ["data"])
    return Scrubbed(len(found), rows[-1].sequence if rows else after, len(rows) == limit)


def _holds(value: Any, names: frozenset[str]) -> bool:
    if isinstance(value, dict):
        return any(_holds(inner, names) for inner in value.values())
    if isinstance(value, list):
        return any(_holds(inner, names) for inner in value)
    return isinstance(value, str) and value in names
