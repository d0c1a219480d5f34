from __future__ import annotations

from typing import Any

from rest_framework import serializers

from config.api.serializers import Input, Several, Text, WholeNumber
from instances.models import Network
from instances.states import State
from instances.whatsapp.jids import PHONE_NUMBER, InvalidJid, phone_number


class PhoneField(Text):
    """An international phone number in any common spelling; the value is its digits."""

    default_error_messages = {"phone": "This is not a phone number with country code."}
    json_schema = {"pattern": PHONE_NUMBER}

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=40, **options)

    def to_internal_value(self, data: Any) -> str:
        try:
            return phone_number(super().to_internal_value(data))
        except InvalidJid:
            self.fail("phone")


class InstanceInput(Input):
    name = Text(max_length=100)
    network = serializers.ChoiceField(choices=Network.choices)
    labels = serializers.JSONField(required=False)
    metadata = serializers.JSONField(required=False)
    settings = serializers.DictField(required=False)


class InstancesQuery(Input):
    """Which instances: all of what is named must be so."""

    network = serializers.ChoiceField(choices=Network.choices, required=False)
    state = Several(State.values, required=False, help_text="One or several, with commas.")
    label = Text(max_length=50, required=False, help_text="One that it has.")  # type: ignore[assignment]
    phone = PhoneField(required=False, help_text="The linked number.")


class InstanceChange(Input):
    name = Text(max_length=100, required=False)
    labels = serializers.JSONField(required=False)
    metadata = serializers.JSONField(required=False)
    settings = serializers.DictField(required=False)


class PairingCodeInput(Input):
    phone = PhoneField()


class LinkPageInput(Input):
    expires_in = WholeNumber(min_value=60, max_value=86_400, default=900, help_text="Seconds.")
