from __future__ import annotations

from typing import Any

from rest_framework import serializers

from config.api.serializers import Input, Switch, Text, WholeNumber
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


_BASE64 = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"


class Base64(serializers.RegexField, Text):
    json_schema = {"pattern": _BASE64}

    def __init__(self, **options: Any) -> None:
        super().__init__(_BASE64, **options)


class FileInput(Input):
    """An attachment; what a type has no use for is refused by the phone."""

    data = Base64(help_text="Base64")  # type: ignore[assignment]  # the field shadows the property
    caption = Text(max_length=1024, required=False, allow_blank=True)
    filename = Text(max_length=255, required=False)
    mimetype = Text(max_length=100, required=False)
    seconds = WholeNumber(min_value=0, max_value=10**6, required=False)


class AlbumItemInput(FileInput):
    type = serializers.ChoiceField(["image", "video"])


class AlbumInput(Input):
    items: Any = serializers.ListField(child=AlbumItemInput(), min_length=1, max_length=30)


FILES = ("image", "video", "gif", "round", "audio", "voice", "document", "sticker")
OBJECTS = (
    "location",
    "live_location",
    "poll",
    "poll_vote",
    "reaction",
    "edit",
    "revoke",
    "pin",
    "group_invite",
    "event",
    "event_response",
    "unsupported",
    "undecryptable",
)
KINDS = ("text", *FILES, *OBJECTS, "contacts", "album")


class SendInput(Input):
    """Exactly one kind of content, under its name; docs/sandbox.md has the fields of each."""

    to = Text(max_length=80)
    text = Text(max_length=4096, required=False)
    reply_to = Text(max_length=100, required=False, help_text="The WhatsApp id of the message that is quoted.")
    mentions = serializers.ListField(child=PhoneField(), max_length=1000, required=False)
    mention_all = Switch(required=False)
    view_once = Switch(required=False)
    forwarded = Switch(required=False)
    expires_in = WholeNumber(min_value=0, max_value=10**9, required=False, help_text="In seconds.")
    contacts = serializers.ListField(child=serializers.DictField(), max_length=100, required=False)
    album = AlbumInput(required=False)

    def get_fields(self) -> dict[str, Any]:
        files = {kind: FileInput(required=False) for kind in FILES}
        objects = {kind: serializers.DictField(required=False) for kind in OBJECTS}
        return {**super().get_fields(), **files, **objects}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        given = [kind for kind in KINDS if kind in attrs]
        if len(given) != 1:
            raise serializers.ValidationError(f"Give exactly one of {', '.join(KINDS)}.", code="group")
        (kind,) = given
        content = attrs.pop(kind)
        return {"kind": kind, "content": {"body": content} if kind == "text" else content, **attrs}


class CallInput(Input):
    to = Text(max_length=80, help_text="A phone number, or the JID of a group.")
    video = Switch(default=False)


class ReceivedQuery(Input):
    after = serializers.IntegerField(min_value=0, default=0)
    limit = serializers.IntegerField(min_value=1, max_value=100, default=100)


def phone_data(phone: VirtualPhone) -> dict[str, Any]:
    return {"id": phone.id, "phone": phone.phone, "name": phone.name, "created_at": iso(phone.created_at)}
