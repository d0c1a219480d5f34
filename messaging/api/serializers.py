from __future__ import annotations

from datetime import datetime
from typing import Any

from rest_framework import serializers

from config.api.serializers import Input, Text
from instances.whatsapp.jids import RECIPIENT, InvalidJid, InvalidPhoneNumber, Jid, recipient


class ChatField(Text):
    """A phone number in any common spelling, or a JID. A leading space is a plus sign that nobody encoded."""

    default_error_messages = {
        "invalid_recipient": "This is neither a phone number nor a JID.",
        "invalid_phone_number": "No country has such a phone number.",
    }
    json_schema = {"pattern": RECIPIENT}

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, max_length=80, **options)

    def to_internal_value(self, data: Any) -> Jid:  # type: ignore[override]
        text = super().to_internal_value(data)
        try:
            return recipient(f"+{text[1:]}" if text.startswith(" ") else text)
        except InvalidJid as error:
            self.fail("invalid_phone_number" if isinstance(error, InvalidPhoneNumber) else "invalid_recipient")


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


class MessageChange(Input):
    send_at = Moment(help_text="When it shall leave, up to 30 days ahead.")


class MessagesQuery(Input):
    instance = Text(required=False, help_text="Those of one instance.")
    chat = ChatField(required=False, help_text="Those of one chat: a phone number or a JID.")


class MessageQuery(Input):
    raw = serializers.ChoiceField(["true", "false"], default="false", help_text="The protobuf as JSON as well.")
