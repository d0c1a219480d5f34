from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from accounts.models import Mode
from config.api.operations import Moment, Operation, Operations, Page, Shape, Tag, identifier
from webhooks.api import views
from webhooks.api.serializers import EndpointChange, EndpointInput
from webhooks.models import Delivery as DeliveryRow

DeliveryState = DeliveryRow.State


class Endpoint(Shape):
    """A URL that gets events."""

    id: Annotated[str, identifier("whk")]
    url: str
    events: Annotated[list[str], Meta(description="`*`, types, or groups such as `message.*`.")]
    description: str
    instances: Annotated[list[Annotated[str, identifier("ins")]], Meta(description="Null: all.")] | None
    mode: Annotated[Mode, Meta(description="Null: events of both networks.")] | None
    enabled: bool
    disabled_reason: str | None
    created_at: Moment


class NewEndpoint(Endpoint):
    secret: Annotated[str, Meta(description="Signs the deliveries; shown this once.", pattern="^whsec_")]


class EndpointPage(Page[Endpoint]):
    pass


class Event(Shape):
    """Something that happened. `sequence` has no gaps within an instance."""

    id: Annotated[str, identifier("evt")]
    type: str
    timestamp: Moment
    instance: Annotated[str, identifier("ins")] | None
    sequence: int
    data: dict[str, Any]


class Attempt(Shape):
    """`status` is null, and `error` says why, when no answer came."""

    at: Moment
    duration_ms: int
    status: int | None
    error: str | None
    response: Annotated[str, Meta(description="The first 20,000 bytes of the answer.")]


class Delivery(Shape):
    id: Annotated[str, identifier("dlv")]
    event: Event
    state: DeliveryState
    attempts: list[Attempt]
    next_attempt_at: Moment | None


class DeliveryPage(Page[Delivery]):
    pass


class Ticket(Shape):
    ticket: Annotated[str, Meta(description="Opens one WebSocket.")]
    expires_at: Moment


TAG = Tag("Events", "Webhook endpoints, their deliveries, and tickets for the WebSocket.")
OPERATIONS: Operations = {
    views.EndpointsView.get: Operation("List webhook endpoints", answers={200: EndpointPage}, paged=True),
    views.EndpointsView.post: Operation(
        "Create a webhook endpoint",
        body=EndpointInput,
        answers={201: NewEndpoint},
        problems=["url_not_allowed", "too_many_webhooks"],
        example={"url": "https://example.com/hooks", "events": ["message.*"]},
    ),
    views.EndpointView.get: Operation("One webhook endpoint", answers={200: Endpoint}),
    views.EndpointView.patch: Operation(
        "Change a webhook endpoint",
        "Enabling delivers what is still open.",
        body=EndpointChange,
        body_required=False,
        answers={200: Endpoint},
        problems=["url_not_allowed"],
        example={"enabled": True},
    ),
    views.EndpointView.delete: Operation("Delete a webhook endpoint", answers={204: None}),
    views.DeliveriesView.get: Operation(
        "List the deliveries of an endpoint", "With every attempt.", answers={200: DeliveryPage}, paged=True
    ),
    views.TicketView.post: Operation(
        "Get a ticket for the WebSocket",
        "For clients that cannot send headers, that is browsers.",
        answers={201: Ticket},
        problems=["unavailable"],
    ),
}
