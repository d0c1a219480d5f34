from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from accounts.models import Mode
from config.api.operations import Moment, Operation, Operations, Page, Shape, Tag, identifier
from webhooks import states
from webhooks.api import delivery_views, events_schema, views
from webhooks.api.events_schema import Event
from webhooks.api.serializers import (
    DeliveriesQuery,
    EndpointChange,
    EndpointInput,
    EndpointsQuery,
    RecoverInput,
    ReplayInput,
    RotateSecretInput,
    TestInput,
)
from webhooks.models import ChatKind
from webhooks.models import Delivery as DeliveryRow
from webhooks.models import Endpoint as EndpointRow
from webhooks.models import Replay as ReplayRow

DeliveryState = DeliveryRow.State
EndpointState = states.State
Ordering = EndpointRow.Ordering
ReplayKind = ReplayRow.Kind
ReplayState = ReplayRow.State
InstanceId = Annotated[str, identifier("ins")]


class Endpoint(Shape):
    """A URL that gets events."""

    id: Annotated[str, identifier("whk")]
    url: str
    events: Annotated[list[str], Meta(description="`*`, types, or groups such as `message.*`.")]
    description: str
    instances: Annotated[list[InstanceId], Meta(description="Null: all.")] | None
    chat_kinds: Annotated[list[ChatKind], Meta(description="Null: all events, also those without a chat.")] | None
    ordering: Annotated[Ordering, Meta(description="`chat`: the order within each chat is kept.")]
    headers: Annotated[dict[str, str], Meta(description="Sent with each delivery; values are shown as `***`.")]
    mode: Annotated[Mode, Meta(description="Null: events of both networks.")] | None
    enabled: bool
    state: EndpointState
    reason: Annotated[str, Meta(extra_json_schema={"enum": [str(code) for code in states.REASONS]})] | None
    reason_text: Annotated[str, Meta(description="The reason in words.")] | None
    advice: Annotated[str, Meta(description="What to do about it.")] | None
    since: Annotated[Moment, Meta(description="Since when it fails or is disabled.")] | None
    next_attempt_at: Annotated[Moment, Meta(description="When the earliest open delivery is due.")] | None
    created_at: Moment


class NewEndpoint(Endpoint):
    """With its secret."""

    secret: Annotated[str, Meta(description="Signs the deliveries; shown this once.", pattern="^whsec_")]


class EndpointPage(Page[Endpoint]):
    pass


class Attempt(Shape):
    """`status` is null, and `error` says why, when no answer came."""

    at: Moment
    request_id: Annotated[str, Meta(description="Was sent along as `X-Request-Id`.")] | None
    duration_ms: int
    status: int | None
    error: str | None
    response: Annotated[str, Meta(description="The first 20,000 bytes of the answer.")]


class Delivery(Shape):
    """An event on its way to an endpoint."""

    id: Annotated[str, identifier("dlv")]
    webhook: Annotated[str, identifier("whk")]
    event: Event
    state: DeliveryState
    attempts: list[Attempt]
    next_attempt_at: Moment | None
    created_at: Moment


class DeliveryPage(Page[Delivery]):
    pass


class Replay(Shape):
    """Events of a time range on their way to an endpoint again."""

    id: Annotated[str, identifier("rpl")]
    webhook: Annotated[str, identifier("whk")]
    kind: ReplayKind
    state: ReplayState
    since: Moment
    until: Moment
    types: list[str] | None
    instances: list[InstanceId] | None
    chat_kinds: list[ChatKind] | None
    matched: Annotated[int, Meta(description="Events so far that the endpoint and the filters want.")]
    created: Annotated[int, Meta(description="Those of them that were put on their way; the others had no need.")]
    created_at: Moment
    ended_at: Moment | None


class ReplayPage(Page[Replay]):
    pass


class Ticket(Shape):
    ticket: Annotated[str, Meta(description="Opens one WebSocket.")]
    expires_at: Moment


TAG = Tag("Events", "Webhook endpoints, their deliveries, and tickets for the WebSocket.")
_SINCE = {"since": "2026-11-23T09:30:00Z"}
OPERATIONS: Operations = {
    **events_schema.OPERATIONS,
    views.EndpointsView.get: Operation(
        "List webhook endpoints", query=EndpointsQuery, answers={200: EndpointPage}, paged=True
    ),
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
        "Enabling forgets all failures and delivers what is still open.",
        body=EndpointChange,
        body_required=False,
        answers={200: Endpoint},
        problems=["url_not_allowed"],
        example={"enabled": True},
    ),
    views.EndpointView.delete: Operation("Delete a webhook endpoint", answers={204: None}),
    views.RotateSecretView.post: Operation(
        "Give a webhook endpoint a new secret",
        "The present one signs as well for another `overlap_seconds`, a day by default.",
        body=RotateSecretInput,
        body_required=False,
        answers={200: NewEndpoint},
        problems=["too_many_secrets"],
        example={"overlap_seconds": 86400},
    ),
    views.TestView.post: Operation(
        "Send a test event",
        "An event with `test: true` in its data, delivered as usual, but to this endpoint alone, whatever it wants.",
        body=TestInput,
        body_required=False,
        answers={202: Delivery},
        problems=["webhook_disabled"],
        example={"type": "webhook.test"},
    ),
    delivery_views.DeliveriesView.get: Operation(
        "List the deliveries of an endpoint",
        "With every attempt, and the first 500 characters of what the receiver answered.",
        query=DeliveriesQuery,
        answers={200: DeliveryPage},
        paged=True,
    ),
    delivery_views.DeliveryView.get: Operation("One delivery", answers={200: Delivery}),
    delivery_views.ResendView.post: Operation(
        "Send a delivery once more",
        "At once, whatever became of it. One that is still open stays as it is.",
        answers={202: Delivery},
        problems=["webhook_disabled"],
    ),
    delivery_views.RecoverView.post: Operation(
        "Recover what an endpoint missed",
        "Events of a time range that it wants and that never succeeded there: they failed for good, or were not tried "
        "since it was disabled or not there yet.",
        body=RecoverInput,
        answers={202: Replay},
        problems=["webhook_disabled", "too_many_replays"],
        example=_SINCE,
    ),
    delivery_views.ReplayEventsView.post: Operation(
        "Deliver the events of a time range again",
        "Also those that succeeded. Live events come first.",
        body=ReplayInput,
        answers={202: Replay},
        problems=["webhook_disabled", "too_many_replays"],
        example=_SINCE | {"until": "2026-11-23T10:30:00Z", "types": ["message.*"]},
    ),
    delivery_views.ReplaysView.get: Operation(
        "List the replays and recoveries of an endpoint", answers={200: ReplayPage}, paged=True
    ),
    delivery_views.ReplayView.get: Operation("One replay or recovery", answers={200: Replay}),
    delivery_views.ReplayView.delete: Operation(
        "Cancel a replay or recovery", "What is on its way already stays.", answers={204: None}
    ),
    views.TicketView.post: Operation(
        "Get a ticket for the WebSocket",
        "For clients that cannot send headers, that is browsers.",
        answers={201: Ticket},
        problems=["unavailable"],
    ),
}
