from __future__ import annotations

from typing import Any

from rest_framework import serializers

from config.api.serializers import Input, Text
from instances.models import Network
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


class InstanceChange(Input):
    name = Text(max_length=100, required=False)
    settings = serializers.DictField(required=False)


class PairingCodeInput(Input):
    phone = PhoneField()
