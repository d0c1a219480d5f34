from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from config.api.serializers import Id, Input, Moment, Several, Since, Switch, Text, WholeNumber
from config.ids import made_at
from config.timestamps import iso
from webhooks import catalogue, headers, rotation, sending, states
from webhooks.finding import next_attempts
from webhooks.models import Attempt, ChatKind, Delivery, Endpoint, Replay
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


@extend_schema_field(
    {
        "type": "object",
        "maxProperties": headers.MAX_HEADERS,
        "propertyNames": {"pattern": headers.NAME},
        "additionalProperties": {"type": "string", "pattern": headers.VALUE},
    }
)
class Headers(serializers.Field):
    """An object of names and values; what may stand in it is checked in webhooks.headers."""

    default_error_messages = {"not_an_object": "This must be an object of texts."}

    def to_internal_value(self, data: Any) -> dict[str, str]:
        if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
            self.fail("not_an_object")
        try:
            headers.check(data)
        except headers.InvalidHeader as error:
            words = {error.name: [str(error)]} if error.name else [str(error)]
            raise serializers.ValidationError(words, code=error.code) from error
        return data


class Patterns(serializers.ListField):
    def __init__(self, **options: Any) -> None:
        super().__init__(child=Pattern(), min_length=1, max_length=50, **options)


class ChatKinds(serializers.ListField):
    def __init__(self, **options: Any) -> None:
        super().__init__(child=serializers.ChoiceField(ChatKind.choices), min_length=1, max_length=4, **options)


class Instances(serializers.ListField):
    def __init__(self, **options: Any) -> None:
        super().__init__(child=Id("ins"), min_length=1, max_length=100, **options)


class EndpointInput(Input):
    url = Url(trim_whitespace=False)
    events = Patterns()
    description = Text(max_length=200, allow_blank=True, required=False)
    instances = Instances(allow_null=True, required=False)
    chat_kinds = ChatKinds(
        allow_null=True, required=False, help_text="Only events of such chats; null for all, those without one as well."
    )
    ordering = serializers.ChoiceField(
        Endpoint.Ordering.choices, required=False, help_text="`chat` keeps the order within each chat."
    )
    headers = Headers(required=False, help_text="Sent with each delivery. A change replaces all of them.")
    enabled = Switch(required=False)


class EndpointChange(EndpointInput):
    """The same fields, each of them optional."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, partial=True, **kwargs)


class EndpointsQuery(Input):
    state = Several(states.State.values, required=False, help_text="One or more states, separated by commas.")


class Secret(Text):
    """A Standard Webhooks secret of somebody's own."""

    default_error_messages = {"invalid_secret": "This is not whsec_ and 24 to 64 bytes in base64."}
    json_schema = {"pattern": r"^whsec_[A-Za-z0-9+/]{32,87}={0,2}$"}

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        try:
            size = len(base64.b64decode(text.removeprefix("whsec_").encode(), validate=True))
        except (binascii.Error, UnicodeEncodeError):
            size = 0
        if not text.startswith("whsec_") or not 24 <= size <= 64:
            self.fail("invalid_secret")
        return text


class RotateSecretInput(Input):
    overlap_seconds = WholeNumber(
        min_value=0,
        max_value=int(rotation.MAX_OVERLAP.total_seconds()),
        default=86400,
        help_text="How long the present secret signs as well.",
    )
    secret = Secret(required=False, help_text="Otherwise one is made.")


class TestInput(Input):
    type = serializers.ChoiceField(
        list(catalogue.TYPES), default=sending.TEST, help_text="Another one has the data of its example."
    )


class DeliveriesQuery(Input):
    state = Several(Delivery.State.values, required=False, help_text="One or more states, separated by commas.")
    type = Several(sorted(catalogue.TYPES), required=False, help_text="Types of events, separated by commas.")
    event = Id("evt", required=False, help_text="That of one event.")
    since = Since(required=False, help_text="Those made at this moment and later.")
    until = Since(required=False, help_text="Those made before this moment.")


class RecoverInput(Input):
    since = Moment(help_text="Events of this moment and later.")
    until = Moment(required=False, help_text="Events before this moment; now by default.")


class ReplayInput(RecoverInput):
    until = Moment(help_text="Events before this moment.")
    types = Patterns(required=False, help_text="Only events of these types.")
    instances = Instances(required=False, help_text="Only events of these instances.")
    chat_kinds = ChatKinds(required=False, help_text="Only events of such chats.")


def endpoints_data(endpoints: Sequence[Endpoint]) -> list[dict[str, Any]]:
    due = next_attempts(endpoints)
    return [_endpoint_data(endpoint, due.get(endpoint.pk)) for endpoint in endpoints]


def endpoint_data(endpoint: Endpoint) -> dict[str, Any]:
    return endpoints_data([endpoint])[0]


def _endpoint_data(endpoint: Endpoint, next_attempt_at: datetime | None) -> dict[str, Any]:
    standing = states.standing(endpoint)
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "events": endpoint.events,
        "description": endpoint.description,
        "instances": endpoint.instances,
        "chat_kinds": endpoint.chat_kinds,
        "ordering": endpoint.ordering,
        "headers": dict.fromkeys(endpoint.headers, "***"),
        "mode": endpoint.mode,
        "enabled": endpoint.enabled,
        "state": standing.state,
        "reason": standing.reason,
        "reason_text": standing.words.sentence if standing.words else None,
        "advice": standing.words.advice if standing.words else None,
        "since": iso(standing.since),
        "next_attempt_at": iso(next_attempt_at),
        "created_at": iso(endpoint.created_at),
    }


def delivery_data(delivery: Delivery) -> dict[str, Any]:
    """For a delivery that was read with its event."""
    return {
        "id": delivery.id,
        "webhook": delivery.endpoint_id,
        "event": delivery.event.payload(),
        "state": delivery.state,
        "attempts": [_attempt_data(attempt) for attempt in delivery.attempts.all()],
        "next_attempt_at": iso(delivery.next_attempt_at),
        "created_at": iso(made_at(delivery.id, "dlv")),
    }


def _attempt_data(attempt: Attempt) -> dict[str, Any]:
    return {
        "at": iso(attempt.at),
        "request_id": attempt.request_id or None,
        "duration_ms": attempt.duration_ms,
        "status": attempt.status,
        "error": attempt.error or None,
        "response": attempt.shown if hasattr(attempt, "shown") else attempt.response,
    }


def replay_data(replay: Replay) -> dict[str, Any]:
    return {
        "id": replay.id,
        "webhook": replay.endpoint_id,
        "kind": replay.kind,
        "state": replay.state,
        "since": iso(replay.since),
        "until": iso(replay.until),
        "types": replay.types,
        "instances": replay.instances,
        "chat_kinds": replay.chat_kinds,
        "matched": replay.matched,
        "created": replay.created,
        "created_at": iso(replay.created_at),
        "ended_at": iso(replay.ended_at),
    }


def ticket_data(ticket: Ticket) -> dict[str, Any]:
    return ticket._asdict()
