from __future__ import annotations

from typing import Any

from rest_framework import serializers

from config.api.serializers import Input, Text
from media.models import Source, Status
from media.references import DATA_PATTERN


class Base64(Text):
    json_schema = {"pattern": DATA_PATTERN, "contentEncoding": "base64"}


class Link(Text):
    """All but the scheme and the length of a URL is checked where its meaning is known."""

    json_schema = {"pattern": r"^[Hh][Tt][Tt][Pp][Ss]?://[^\u0000]*$", "maxLength": 2000}


class MediaInput(Input):
    """A file as base64, or a link to it."""

    data = Base64(required=False, trim_whitespace=False, help_text="The file as base64.")  # type: ignore[assignment]
    link = Link(required=False, trim_whitespace=False, help_text="Where it is fetched from, in the background.")
    filename = Text(required=False, max_length=255, trim_whitespace=False)
    mime_type = Text(required=False, max_length=100, help_text="Believed only where the content leaves it open.")

    json_schema = {"oneOf": [{"required": ["data"]}, {"required": ["link"]}]}
    default_error_messages = {"one_of": "Give either data or link."}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs.keys() & {"data", "link"}) != 1:
            raise serializers.ValidationError(self.error_messages["one_of"], code="one_of")
        return attrs


class FormInput(Input):
    """What may stand beside the file in a form."""

    filename = Text(required=False, max_length=255, trim_whitespace=False, allow_blank=True)
    mime_type = serializers.RegexField("^[!-~]*$", required=False, max_length=100, allow_blank=True)


class MediaQuery(Input):
    status = serializers.ChoiceField(Status.choices, required=False)
    source = serializers.ChoiceField(Source.choices, required=False)  # type: ignore[assignment]
    instance = Text(required=False, help_text="Those that one instance received.")
