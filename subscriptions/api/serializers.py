from __future__ import annotations

import re
from datetime import date
from typing import Any

from rest_framework import serializers

from config.api.serializers import Input, Text
from subscriptions.models import NETWORKS

_DAY = re.compile("([1-9][0-9]{3})-([0-9]{2})-([0-9]{2})")
GROUPS = ("day", "instance", "type", "network")


class PlanChoice(Input):
    plan = Text(max_length=20)


class DayField(Text):
    """A date as YYYY-MM-DD and in no other of the spellings of ISO 8601."""

    json_schema = {"format": "date", "pattern": "^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}$"}

    default_error_messages = {"day": "This is not a day of the form YYYY-MM-DD."}

    def to_internal_value(self, data: Any) -> date:  # type: ignore[override]
        text = super().to_internal_value(data)
        try:
            return date(*map(int, _DAY.fullmatch(text).groups()))  # type: ignore[union-attr]
        except (AttributeError, ValueError):
            self.fail("day")


class GroupField(Text):
    """A comma-separated choice of GROUPS; naming one twice is naming it once."""

    json_schema = {"pattern": f"^(?:{'|'.join(GROUPS)})(?:,(?:{'|'.join(GROUPS)}))*$"}

    default_error_messages = {"group": f"A comma-separated choice of: {', '.join(GROUPS)}."}

    def to_internal_value(self, data: Any) -> list[str]:  # type: ignore[override]
        names = dict.fromkeys(super().to_internal_value(data).split(","))
        if not names.keys() <= set(GROUPS):
            self.fail("group")
        return list(names)


class UsageQuery(Input):
    """``from`` and ``to`` are days in UTC, both included."""

    group = GroupField(required=False, help_text="Comma-separated: day, instance, type, network; `day` by default.")
    network = serializers.ChoiceField(choices=NETWORKS, required=False, help_text="Only this one.")

    def get_fields(self) -> dict[str, Any]:
        # A keyword cannot be declared as an attribute.
        first = DayField(required=False, help_text="First day, UTC; by default 29 days before the last one.")
        last = DayField(required=False, help_text="Last day, UTC; today by default.")
        return {"from": first, "to": last} | super().get_fields()
