from __future__ import annotations

from typing import Any

from rest_framework import serializers

from config.api.serializers import Input, Moment, Several, Since, Text
from instances.whatsapp.jids import RECIPIENT, InvalidJid, InvalidPhoneNumber, Jid, recipient
from messaging.states import TYPES, Direction, Origin, Status


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


class MessageChange(Input):
    send_at = Moment(help_text="When it shall leave, up to 30 days ahead.")


class MessagesQuery(Input):
    instance = Text(required=False, help_text="Those of one instance.")
    chat = ChatField(required=False, help_text="Those of one chat: a phone number, a JID or an LID.")
    direction = serializers.ChoiceField(choices=Direction.values, required=False)
    type = Several(TYPES, required=False, help_text="One or more types, separated by commas.")
    status = Several(Status.values, required=False, help_text="One or more statuses, separated by commas.")
    origin = serializers.ChoiceField(choices=Origin.values, required=False)
    history = serializers.BooleanField(
        required=False, help_text="Whether they came with the history when the number was linked."
    )
    client_ref = Text(required=False, max_length=200, help_text="Those you gave this reference.")
    since = Since(required=False, help_text="Those of this moment and later.")
    until = Since(required=False, help_text="Those before this moment.")
    q = Text(
        required=False,
        max_length=400,
        help_text='Those with all of these words; `"words in quotes"` follow each other, `pre*` is a beginning.',
    )


class MessageQuery(Input):
    raw = serializers.ChoiceField(["true", "false"], default="false", help_text="The protobuf as JSON as well.")
