from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from config.api.operations import Moment, Operation, Operations, Page, Shape, Tag, identifier
from subscriptions.api import views
from subscriptions.api.serializers import PlanChoice, UsageQuery

Network = Literal["sandbox", "whatsapp"]
Count = Annotated[int, Meta(ge=0)]


class Plan(Shape):
    """The limits of instances and messages hold for each network."""

    code: Annotated[str, Meta(examples=["basic"])]
    name: str
    instances: Count
    messages_per_month: Count
    requests_per_minute: Count
    message_retention_days: Annotated[int, Meta(ge=1, description="Older messages are deleted.")] | None


class PlanPage(Page[Plan]):
    """Smallest first."""


class BillingMonth(Shape):
    starts_at: Moment
    renews_at: Moment


class MessageUse(Shape):
    used: Count
    limit: Count
    renews_at: Moment


class InstanceUse(Shape):
    used: Count
    limit: Count


class Subscription(Shape):
    """What is used is told for each network; a key sees its own."""

    id: Annotated[str, identifier("sub")]
    plan: Plan
    state: Literal["active", "expired", "suspended"]
    started_at: Annotated[Moment, Meta(description="The billing months are counted from here.")]
    expires_at: Annotated[Moment, Meta(description="Null: never.")] | None
    period: BillingMonth
    messages: dict[Network, MessageUse]
    instances: dict[Network, InstanceUse]


class UsageTotal(Shape):
    outbound: Count
    inbound: Count


class UsageRow(Shape):
    """The groups that were asked for, then the counts."""

    outbound: Count
    inbound: Count
    day: date | UnsetType = UNSET
    instance: Annotated[str, identifier("ins")] | UnsetType = UNSET
    type: Annotated[str, Meta(examples=["text"])] | UnsetType = UNSET
    network: Network | UnsetType = UNSET


class Usage(Shape):
    first: date = msgspec.field(name="from")
    to: date
    group: list[Literal["day", "instance", "type", "network"]]
    total: UsageTotal
    results: list[UsageRow]


TAG = Tag("Plans and usage", "What the organization may use, and what it has used.")
OPERATIONS: Operations = {
    views.PlansView.get: Operation("List plans", "Needs no credentials.", answers={200: PlanPage}, paged=True),
    views.SubscriptionView.get: Operation("The subscription and what is used of it", answers={200: Subscription}),
    views.SubscriptionView.patch: Operation(
        "Change the plan",
        "At once. A smaller plan must have room for the instances and for this month's messages.",
        body=PlanChoice,
        answers={200: Subscription},
        problems=["subscription_expired", "plan_too_small"],
        example={"plan": "pro"},
    ),
    views.UsageView.get: Operation(
        "Messages accepted and received",
        "Sums by day (UTC), instance, type or network; `?format=csv` for a spreadsheet.",
        answers={200: Usage},
        query=UsageQuery,
        media={"text/csv": {"type": "string"}},
        problems=["invalid_request"],
    ),
}
