from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from config.api.serializers import Input, Text

_MOMENT = re.compile(
    r"[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)


class MomentField(Text):
    """A time with its offset from UTC, by RFC 3339 and in no other spelling."""

    json_schema = {"format": "date-time", "pattern": f"^{_MOMENT.pattern}$"}

    default_error_messages = {"moment": "This is not a time of the form 2026-01-31T12:00:00Z."}

    def to_internal_value(self, data: Any) -> datetime:  # type: ignore[override]
        text = super().to_internal_value(data)
        try:
            if not _MOMENT.fullmatch(text):
                raise ValueError
            return datetime.fromisoformat(text).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail("moment")


class AuditQuery(Input):
    tag = Text(required=False, max_length=100, help_text="Whole parts of it, such as `api`, `key` or `key:created`.")
    actor = Text(required=False, max_length=254, help_text="Who: an id, an e-mail address or a key's name.")
    subject = Text(required=False, max_length=200, help_text="The id of what was acted upon.")
    request_id = Text(required=False, max_length=128, help_text="All of one request.")
    since = MomentField(required=False, help_text="At this time or later.")
    until = MomentField(required=False, help_text="Before this time.")
