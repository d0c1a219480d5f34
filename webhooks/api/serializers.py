from __future__ import annotations

from typing import Any

from rest_framework import serializers

from config.api.serializers import Id, Input, Switch, Text
from config.timestamps import iso
from webhooks import catalogue
from webhooks.models import Delivery, Endpoint
from webhooks.tickets import Ticket


class Pattern(Text):
    json_schema = {"enum": ["*", *sorted(catalogue.GROUPS), *catalogue.TYPES]}

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if not catalogue.is_pattern(text):
            raise serializers.ValidationError("No event type matches this.", code="unknown_event_type")
        return text


class Url(Text):
    """The length and all the rest of a URL is checked where its meaning is known."""

    json_schema = {"pattern": r"^[Hh][Tt][Tt][Pp][Ss]?://[^\u0000]*$", "maxLength": 2000}


class EndpointInput(Input):
    url = Url(trim_whitespace=False)
    events = serializers.ListField(child=Pattern(), min_length=1, max_length=50)
    description = Text(max_length=200, allow_blank=True, required=False)
    instances = serializers.ListField(child=Id("ins"), min_length=1, max_length=100, allow_null=True, required=False)
    enabled = Switch(required=False)


class EndpointChange(EndpointInput):
    """The same fields, each of them optional."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, partial=True, **kwargs)


def endpoint_data(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "events": endpoint.events,
        "description": endpoint.description,
        "instances": endpoint.instances,
        "mode": endpoint.mode,
        "enabled": endpoint.enabled,
        "disabled_reason": endpoint.disabled_reason or None,
        "created_at": iso(endpoint.created_at),
    }


def delivery_data(delivery: Delivery) -> dict[str, Any]:
    attempts = [
        {
            "at": iso(attempt.at),
            "duration_ms": attempt.duration_ms,
            "status": attempt.status,
            "error": attempt.error or None,
            "response": attempt.response,
        }
        # The attempts were read after the delivery, which may have had one more in between.
        for attempt in list(delivery.attempts.all())[: delivery.attempt_count]
    ]
    return {
        "id": delivery.id,
        "event": delivery.event.payload(),
        "state": delivery.state,
        "attempts": attempts,
        "next_attempt_at": iso(delivery.next_attempt_at),
    }


def ticket_data(ticket: Ticket) -> dict[str, Any]:
    return ticket._asdict()
