from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, field

from config.api.operations import Moment, Operation, Operations, Shape, identifier
from webhooks.api import event_types, events
from webhooks.api.events_serializers import EventsQuery


class Event(Shape):
    """Something that happened. `sequence` has no gaps within an instance."""

    id: Annotated[str, identifier("evt")]
    type: str
    version: Annotated[int, Meta(description="Of what `data` looks like. New fields do not change it.")]
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


class EventType(Shape):
    """`schema` is that of `data`; it refers to `$defs` of the whole answer."""

    type: str
    group: str
    description: Annotated[str, Meta(description="When it is written.")]
    version: int
    schema: dict[str, Any]
    example: Event


class EventTypes(Shape):
    results: list[EventType]
    definitions: Annotated[dict[str, Any], Meta(description="JSON Schemas by name.")] = field(name="$defs")


OPERATIONS: Operations = {
    event_types.EventTypesView.get: Operation(
        "The types of events",
        "When each is written, the JSON Schema of its `data`, and an example. Needs no credentials.",
        answers={200: EventTypes},
    ),
    events.EventsView.get: Operation(
        "Pull events",
        "The log of the organization from a cursor on, without leaving out what is committed late. With `wait` an "
        "empty answer waits until there is something; it counts as one request. See docs/pulling.md.",
        query=EventsQuery,
        answers={200: EventPage},
        problems=["too_many_polls", "not_found", "test_key_on_live", "live_key_on_sandbox"],
    ),
}
