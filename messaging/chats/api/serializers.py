from __future__ import annotations

from typing import Any

from rest_framework import serializers

from config.api.serializers import Id, Input, WholeNumber

STATES = ("composing", "recording", "paused")
LONGEST_SECONDS = 25  # after that WhatsApp stops showing it anyway


class ChatsQuery(Input):
    instance = Id("ins", help_text="Those of this instance.")


class TypingInput(Input):
    state = serializers.ChoiceField(choices=STATES)
    seconds = WholeNumber(
        min_value=1, max_value=LONGEST_SECONDS, required=False, help_text="Then it is shown as paused by itself."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return {"seconds": None, **attrs}
