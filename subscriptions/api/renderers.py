from __future__ import annotations

from typing import Any

from rest_framework.renderers import BaseRenderer

from config.api import csv


class UsageCsvRenderer(BaseRenderer):
    """The rows of a usage report; its groups come first, then the sums."""

    media_type, format, charset = "text/csv", "csv", "utf-8"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> str:
        columns = [*data["group"], "outbound", "inbound"]
        return csv.table(columns, ([row[name] for name in columns] for row in data["results"]))
