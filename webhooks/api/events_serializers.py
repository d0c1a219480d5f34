from __future__ import annotations

import re
from typing import Any

from rest_framework import serializers

from config.api.serializers import Id, Input, Text
from webhooks import cursors
from webhooks.api.serializers import Pattern
from webhooks.polling import LONGEST
from webhooks.selectors import Read


class Listed(Text):
    """One or more of what a field takes, separated by commas."""

    def __init__(self, child: Text, **options: Any) -> None:
        super().__init__(max_length=4000, **options)
        self.child = child
        enum = child.json_schema.get("enum")
        one = "|".join(map(re.escape, enum)) if enum else child.json_schema["pattern"][1:-1]
        self.json_schema = {"pattern": f"^({one})(,({one}))*$"}

    def to_internal_value(self, data: Any) -> list[str]:  # type: ignore[override]
        return [self.child.run_validation(one) for one in super().to_internal_value(data).split(",")]


class EventsQuery(Input):
    after = Text(
        required=False,
        allow_blank=True,
        default="",
        help_text="The `next` of the page before, or `latest`. Without it the oldest that is kept comes first.",
    )
    types = Listed(Pattern(), required=False, help_text="Types and groups such as `message.*`, separated by commas.")
    instance = Listed(Id("ins"), required=False, help_text="Those of one or more instances, separated by commas.")
    limit = serializers.IntegerField(min_value=1, max_value=100, default=50)
    wait = serializers.IntegerField(
        min_value=0, max_value=LONGEST, default=0, help_text="How many seconds to wait for an event if there is none."
    )


def page_data(page: Read) -> dict[str, Any]:
    return {
        "next": cursors.encode(page.positions),
        "results": [event.payload() for event in page.events],
        "has_more": page.more,
        "skipped": page.skipped,
    }
