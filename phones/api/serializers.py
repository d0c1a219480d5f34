from __future__ import annotations

from typing import Any

from rest_framework import serializers

from config.api.serializers import Input, Text
from config.timestamps import iso
from instances.api.serializers import PhoneField
from phones.models import VirtualPhone


class PhoneInput(Input):
    phone = PhoneField()
    name = Text(max_length=100)


class ScanInput(Input):
    instance = Text(max_length=40)


class CodeInput(Input):
    code = Text(max_length=20)


class Base64(Text):
    json_schema = {"pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"}


class ImageInput(Input):
    data = Base64(help_text="Base64")  # type: ignore[assignment]  # the field shadows the property
    caption = Text(max_length=1024, required=False, allow_blank=True)
    mimetype = Text(max_length=100, required=False)


class SendInput(Input):
    """A text or an image, one of the two."""

    json_schema = {"oneOf": [{"required": ["text"]}, {"required": ["image"]}]}

    to = Text(max_length=60)
    text = Text(max_length=4096, required=False)
    image = ImageInput(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("text" in attrs) == ("image" in attrs):
            raise serializers.ValidationError("Give either text or image.")
        return {"text": None, "image": None} | attrs


class ReceivedQuery(Input):
    after = serializers.IntegerField(min_value=0, default=0)
    limit = serializers.IntegerField(min_value=1, max_value=100, default=100)


def phone_data(phone: VirtualPhone) -> dict[str, Any]:
    return {"id": phone.id, "phone": phone.phone, "name": phone.name, "created_at": iso(phone.created_at)}
