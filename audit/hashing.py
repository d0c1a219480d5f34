"""The canonical form of an entry and its hash: the same whichever database an entry is read from.

Canonical form: a JSON object of the columns in COLUMNS, keys sorted by code point, no spaces, everything beyond ASCII
escaped; times in UTC as ``2026-01-31T12:00:00.000000Z``. The hash is its SHA-256 in hexadecimal.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from audit.models import Entry

COLUMNS = (
    "id", "organization_id", "sequence", "tag", "actor_kind", "actor_id", "actor_name", "address", "request_id",
    "subject", "changes", "at", "previous",
)  # fmt: skip


def storable_text(text: str) -> str:
    """The text without what PostgreSQL cannot store: NUL and lone surrogates."""
    return text.replace("\x00", "\ufffd").encode(errors="replace").decode()


def storable(value: Any) -> Any:
    """The value as JSON that both databases return unchanged: what is not a whole number becomes a text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Mapping):
        return {storable_text(str(name)): storable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [storable(inner) for inner in value]
    if isinstance(value, set | frozenset):
        return sorted((storable(inner) for inner in value), key=str)
    if isinstance(value, datetime):
        return _time(value)
    return storable_text(str(value))


def canonical(entry: Entry) -> bytes:
    values = {name: getattr(entry, name) for name in COLUMNS}
    values["at"] = _time(entry.at)
    return json.dumps(values, sort_keys=True, separators=(",", ":")).encode()


def digest(entry: Entry) -> str:
    """The hash that belongs to the entry's other columns."""
    return hashlib.sha256(canonical(entry)).hexdigest()


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
