from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from config.api.operations import Moment, Operation, Operations, Shape, identifier
from webhooks.api import events
from webhooks.api.events_serializers import EventsQuery


class Event(Shape):
    """Something that happened. `sequence` has no gaps within an instance."""

    id: Annotated[str, identifier("evt")]
    type: str
    timestamp: Moment
    instance: Annotated[str, identifier("ins")] | None
    sequence: int
    data: dict[str, Any]


class EventPage(Shape):
    """Oldest first, in order within an instance."""

    next: Annotated[str, Meta(description="The `after` of the next request, also when this page is empty. Opaque.")]
    results: list[Event]
    has_more: Annotated[bool, Meta(description="Ask again at once. `results` may be empty all the same.")]
    skipped: Annotated[int, Meta(description="Events after `after` that are kept no longer, whatever their type.")]


OPERATIONS: Operations = {
    events.EventsView.get: Operation(
        "Pull events",
        "The log of the organization from a cursor on, without leaving out what is committed late. With `wait` an "
        "empty answer waits until there is something; it counts as one request. See docs/pulling.md.",
        query=EventsQuery,
        answers={200: EventPage},
        problems=["too_many_polls", "not_found", "test_key_on_live", "live_key_on_sandbox"],
    ),
}
