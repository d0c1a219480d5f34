from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from django.utils import timezone
from rest_framework import serializers

from audit.api.serializers import MomentField
from broadcasts.importing import Report
from broadcasts.keywords import LONGEST, normalized
from broadcasts.states import Progress, State
from config.api.serializers import Id, Input, Switch, Text, WholeNumber
from instances.models import Network
from instances.whatsapp.jids import PERSON
from messaging.api.serializers import ChatField

MAX_JSON_RECIPIENTS = 10_000
MAX_PER_MINUTE = 60_000
LATEST_START = timedelta(days=90)


class Described(serializers.Field):
    """A field that says by itself what it takes."""

    json_schema: Mapping[str, Any]


class MessageField(Described, serializers.DictField):
    """A payload without instance and recipient; what is in it is checked where templates are known."""


class TemplateInput(Input):
    name = Text(max_length=100)
    message = MessageField()


class TemplateChange(TemplateInput):
    """The same fields, each of them optional."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, partial=True, **kwargs)


class ValuesField(Described, serializers.DictField):
    child = Text(max_length=1000, allow_blank=True, trim_whitespace=False)
    json_schema = {
        "type": "object",
        "additionalProperties": {"type": "string", "maxLength": 1000, "pattern": "^[^\\u0000]*$"},
        "propertyNames": {"pattern": "^[a-z0-9_]{1,40}$"},
    }


class PreviewInput(Input):
    variables = ValuesField(required=False)


class StartField(MomentField):
    """A moment that has passed is now."""

    default_error_messages = {"range": "A broadcast starts within 90 days."}

    def to_internal_value(self, data: Any) -> datetime:  # type: ignore[override]
        moment = super().to_internal_value(data)
        if moment > timezone.now() + LATEST_START:
            self.fail("range")
        return moment


class PacingInput(Input):
    per_minute = WholeNumber(min_value=1, max_value=MAX_PER_MINUTE)


class ClockField(serializers.RegexField):
    json_schema = {"pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"}

    def __init__(self, **options: Any) -> None:
        super().__init__(r"^([01][0-9]|2[0-3]):[0-5][0-9]\Z", **options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


@cache
def zones() -> frozenset[str]:
    return frozenset(available_timezones())


class ZoneField(Text):
    default_error_messages = {"unknown_timezone": "This is not a time zone such as Europe/Berlin."}

    def to_internal_value(self, data: Any) -> str:
        name = super().to_internal_value(data)
        if name not in zones():
            self.fail("unknown_timezone")
        return name


class QuietHoursInput(Input):
    """From one time of the day to another, over midnight if that is earlier."""

    timezone = ZoneField(max_length=60, help_text="Such as Europe/Berlin.")

    def get_fields(self) -> dict[str, Any]:
        # A keyword cannot be declared as an attribute.
        return {"from": ClockField(), "to": ClockField()} | super().get_fields()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["from"] == attrs["to"]:
            raise serializers.ValidationError("The hours must begin and end at different times.", code="same_times")
        return attrs


_RECIPIENT = {
    "type": "object",
    "required": ["to"],
    "additionalProperties": False,
    "properties": {
        "to": {"type": "string", "description": "A phone number in any common spelling, or a JID."},
        "variables": ValuesField.json_schema,
        "client_ref": {"type": "string", "minLength": 1, "maxLength": 200},
    },
}


class RecipientsField(Described, serializers.ListField):
    """Each is judged later, by itself: one that is not valid does not keep the others back."""

    json_schema = {
        "type": "array",
        "minItems": 1,
        "maxItems": MAX_JSON_RECIPIENTS,
        "items": {"anyOf": [_RECIPIENT, {}]},
    }

    def to_internal_value(self, data: Any) -> list[Any]:
        if not isinstance(data, list):
            self.fail("not_a_list", input_type=type(data).__name__)
        if not data:
            self.fail("empty")
        if len(data) > MAX_JSON_RECIPIENTS:
            raise serializers.ValidationError(f"At most {MAX_JSON_RECIPIENTS} at a time.", code="max_length")
        return data


class RecipientsInput(Input):
    recipients = RecipientsField()


class BroadcastInput(Input):
    """With `recipients` it starts, at once or at `start_at`; with `draft` it waits for more of them and a start."""

    instance = Id("ins", required=False)
    instances = serializers.ListField(child=Id("ins"), min_length=1, max_length=100, required=False)
    name = Text(max_length=100, required=False)
    template_id = Id("tpl", required=False)
    message = MessageField(required=False)
    recipients = RecipientsField(required=False)
    draft = Switch(required=False)
    start_at = StartField(required=False)
    pacing = PacingInput(required=False)
    quiet_hours = QuietHoursInput(required=False)

    json_schema = {
        "allOf": [
            {"oneOf": [{"required": ["instance"]}, {"required": ["instances"]}]},
            {"oneOf": [{"required": ["template_id"]}, {"required": ["message"]}]},
            {
                "anyOf": [
                    {"required": ["recipients"]},
                    {"required": ["draft"], "properties": {"draft": {"const": True}}},
                ]
            },
        ]
    }

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        for one, other in (("instance", "instances"), ("template_id", "message")):
            if (one in attrs) == (other in attrs):
                raise serializers.ValidationError({one: f"Give `{one}` or `{other}`."}, code="one_of")
        if not attrs.get("draft") and "recipients" not in attrs:
            raise serializers.ValidationError({"recipients": "Only a draft has none yet."}, code="required")
        return attrs


class BroadcastsQuery(Input):
    state = serializers.ChoiceField(choices=State.choices, required=False, help_text="Those in one state.")


class RecipientsQuery(Input):
    state = serializers.ChoiceField(choices=Progress.choices, required=False, help_text="Those who are so far.")


class PersonField(ChatField):
    json_schema = {"pattern": PERSON}


class OptOutInput(Input):
    to = PersonField(help_text="A phone number or a LID.")
    network = serializers.ChoiceField(choices=Network.choices, required=False, help_text="Of a key its own.")


class OptOutsQuery(Input):
    contact = ChatField(required=False, help_text="A phone number or a LID.")


class WordField(Text):
    default_error_messages = {"word": "A word has letters or digits."}

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if not normalized(text):
            self.fail("word")
        return text


class KeywordsInput(Input):
    """What is not given stays."""

    stop = serializers.ListField(child=WordField(max_length=LONGEST), max_length=100, required=False)
    start = serializers.ListField(child=WordField(max_length=LONGEST), max_length=100, required=False)


def report_data(report: Report) -> dict[str, Any]:
    return {**report.counts(), "errors": [error._asdict() for error in report.errors]}
