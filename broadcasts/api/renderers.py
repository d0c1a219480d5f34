from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from rest_framework.renderers import BaseRenderer

from broadcasts.models import Recipient
from broadcasts.selectors import recipient_data
from config.api import csv

_COLUMNS = ("to", "client_ref", "state", "error_code", "error_detail", "instance", "message_id", "sent_at",
            "delivered_at", "read_at")  # fmt: skip


class ReportCsvRenderer(BaseRenderer):
    """Only chosen by negotiation: the view streams the rows itself."""

    media_type, format, charset = "text/csv", "csv", "utf-8"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> Any:
        return json.dumps(data)  # an error


def report(recipients: Iterable[Recipient], variables: Iterable[str]) -> Iterator[str]:
    """Lines of CSV: names first, then a line for each recipient, with the variables at the end."""
    names = list(variables)
    yield csv.lines([[*_COLUMNS, *names]])
    for recipient in recipients:
        data = recipient_data(recipient)
        error = data["error"] or {"code": None, "detail": None}
        flat = data | {"error_code": error["code"], "error_detail": error["detail"]}
        values = data["variables"]
        yield csv.lines([[*(flat[name] for name in _COLUMNS), *(values.get(name) for name in names)]])
