"""Keeps events small: who needs all of a long message fetches it by its id."""

from __future__ import annotations

from typing import Any

import orjson

MOST_BYTES = 20_000  # of a payload as JSON
_ENVELOPE = 500  # what stands around the data
# The longest text, in characters, and the longest list; the first that makes the data small enough. Ids, phone numbers
# and moments are shorter than the shortest of these.
_STEPS = ((4000, 100), (1000, 50), (250, 20), (100, 5), (100, 1), (100, 0))


def encode(data: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """The data of an event as it is to be kept, and as JSON.

    What would be too large has its long texts and lists cut, and says ``"truncated": true``.
    """
    encoded = orjson.dumps(data)
    steps = iter(_STEPS)
    kept = data
    while len(encoded) > MOST_BYTES - _ENVELOPE and (step := next(steps, None)):
        kept = {**_cut(data, *step), "truncated": True}
        encoded = orjson.dumps(kept)
    return kept, encoded


def _cut(value: Any, characters: int, items: int) -> Any:
    if isinstance(value, str) and len(value) > characters:
        return f"{value[: characters - 1]}…"
    if isinstance(value, list):
        return [_cut(one, characters, items) for one in value[:items]]
    if isinstance(value, dict):
        return {name: _cut(inner, characters, items) for name, inner in value.items()}
    return value
