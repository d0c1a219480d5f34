from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from rest_framework.renderers import BaseRenderer

from audit.models import Entry
from audit.selectors import entry_data
from config.api import csv

_COLUMNS = ("at", "tag", "actor_kind", "actor_id", "actor_name", "address", "request_id", "subject", "changes")
_CHAIN = ("id", "sequence", "previous", "hash")


class EntriesCsvRenderer(BaseRenderer):
    """Only chosen by negotiation: the view streams the rows itself."""

    media_type, format, charset = "text/csv", "csv", "utf-8"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> Any:
        return json.dumps(data)  # an error


def rows(entries: Iterable[Entry]) -> Iterator[str]:
    """Lines of CSV: names first, then a line for each entry."""
    yield csv.lines([[*_COLUMNS, *_CHAIN]])
    for entry in entries:
        data = entry_data(entry)
        flat = data | {f"actor_{name}": value for name, value in data["actor"].items()}
        flat["changes"] = json.dumps(data["changes"], ensure_ascii=False, sort_keys=True)
        yield csv.lines([[flat[name] for name in (*_COLUMNS, *_CHAIN)]])
