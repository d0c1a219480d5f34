from __future__ import annotations

from typing import Any

from rest_framework import serializers

from config.api.serializers import Id, Input, Text, WholeNumber
from instances.whatsapp.people import DISAPPEARING_SECONDS, PRIVACY
from media.api.serializers import Base64


class ProfileChange(Input):
    """What is not named stays."""

    name = Text(max_length=25, required=False)
    about = Text(max_length=139, required=False, allow_blank=True)


class PictureInput(Input):
    """An image by the id of an upload, or as base64. It is cut to a square."""

    id = Id("med", required=False)
    data = Base64(required=False, trim_whitespace=False)  # type: ignore[assignment]

    json_schema = {"oneOf": [{"required": ["id"]}, {"required": ["data"]}]}
    default_error_messages = {"one_of": "Give either id or data."}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs) != 1:
            raise serializers.ValidationError(self.error_messages["one_of"], code="one_of")
        return attrs


class PresenceInput(Input):
    presence = serializers.ChoiceField(choices=("available", "unavailable"))


class Seconds(WholeNumber):
    """One of WhatsApp's own times."""

    default_error_messages = {"choice": f"This is none of {', '.join(map(str, DISAPPEARING_SECONDS))}."}

    def to_internal_value(self, data: Any) -> int:
        seconds = super().to_internal_value(data)
        if seconds not in DISAPPEARING_SECONDS:
            self.fail("choice")
        return seconds


class PrivacyChange(Input):
    """What is not named stays."""

    disappearing_seconds = Seconds(required=False, help_text="How long messages of new chats stay; 0: for ever.")

    def get_fields(self) -> dict[str, Any]:
        choices = {name: serializers.ChoiceField(setting.values, required=False) for name, setting in PRIVACY.items()}
        return choices | dict(super().get_fields())
