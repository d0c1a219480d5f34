"""Input that is checked strictly: nothing unknown is ignored, nothing is converted silently."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from config.ids import InvalidId, to_uuid

# What `Text` takes, for descriptions of the API: Python counts more as a space than \s is elsewhere.
NOT_BLANK = r"^[^\u0000]*[^\u0000\s\u001c-\u001f\u0085][^\u0000]*$"


class Text(serializers.CharField):
    """A JSON string; numbers are refused, not converted. ``json_schema`` says what else a subclass demands."""

    json_schema: Mapping[str, Any] = {}

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        if self.max_length is not None and len(data) > self.max_length:  # as it was sent, whatever it is made into
            self.fail("max_length", max_length=self.max_length)
        return super().to_internal_value(data)


class Switch(serializers.BooleanField):
    """A JSON boolean; texts and numbers are refused, not converted."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class WholeNumber(serializers.IntegerField):
    """A JSON number without a fraction, so 3.0 as well; texts and booleans are refused, not converted."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int | float) or data != int(data):
            self.fail("invalid")
        return super().to_internal_value(data)


class Id(Text):
    """An id with this prefix."""

    default_error_messages = {"invalid_id": "This is not an id that begins with {prefix}_."}

    def __init__(self, prefix: str, **options: Any) -> None:
        super().__init__(**options)
        self.prefix = prefix
        self.json_schema = {"pattern": f"^{prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$"}

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        try:
            to_uuid(text, self.prefix)
        except InvalidId:
            self.fail("invalid_id", prefix=self.prefix)
        return text


class Several(Text):
    """One or more of some words, separated by commas."""

    default_error_messages = {"invalid_choice": "{word} is none of: {choices}."}

    def __init__(self, choices: Sequence[str], **options: Any) -> None:
        super().__init__(max_length=300, **options)
        self.choices = tuple(choices)
        one = "|".join(re.escape(choice) for choice in self.choices)
        self.json_schema = {"pattern": f"^({one})(,({one}))*$"}

    def to_internal_value(self, data: Any) -> list[str]:  # type: ignore[override]
        words = super().to_internal_value(data).split(",")
        for word in words:
            if word not in self.choices:
                self.fail("invalid_choice", word=word, choices=", ".join(self.choices))
        return words


class Since(serializers.DateTimeField):
    """A moment in ISO 8601; without a time zone it is UTC. A space is a plus sign that nobody encoded."""

    def to_internal_value(self, value: Any) -> datetime:
        return super().to_internal_value(value.replace(" ", "+") if isinstance(value, str) else value)


class Moment(serializers.DateTimeField):
    """A moment with its offset from UTC; nothing else is guessed at."""

    default_error_messages = {"no_offset": "The offset from UTC is missing, such as Z or +02:00."}

    def to_internal_value(self, value: Any) -> datetime:
        if not isinstance(value, str):
            self.fail("invalid", format="ISO 8601")
        moment: datetime = super().to_internal_value(value)
        return moment

    def enforce_timezone(self, value: datetime) -> datetime:
        if value.tzinfo is None:
            self.fail("no_offset")
        return value


class Input(serializers.Serializer):
    """Base of all request bodies: unknown fields are errors. ``json_schema`` says what `validate` demands."""

    json_schema: Mapping[str, Any] = {}

    default_error_messages = {"unknown": "This field is not known here."}

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and (unknown := set(data) - set(self.fields)):
            message = self.error_messages["unknown"]
            raise serializers.ValidationError({name: [message] for name in sorted(unknown)}, code="unknown_field")
        return super().to_internal_value(data)


_FOR_ALL_VIEWS = frozenset({"limit", "cursor", "format"})


def checked(serializer: type[Input], request: Request) -> dict[str, Any]:
    """The validated body of a request. Raises ValidationError, which becomes a 400 with pointers."""
    instance = serializer(data=request.data)
    instance.is_valid(raise_exception=True)
    return dict(instance.validated_data)


def checked_query(serializer: type[Input], request: Request) -> dict[str, Any]:
    """The validated parameters of a URL, without those of pages and formats. Raises ValidationError likewise."""
    instance = serializer()
    foreign = _FOR_ALL_VIEWS - instance.fields.keys()
    instance.initial_data = {name: text for name, text in request.query_params.items() if name not in foreign}
    instance.is_valid(raise_exception=True)
    return dict(instance.validated_data)
