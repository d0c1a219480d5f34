"""What tenants note on an instance: labels to find it by, and metadata that nobody here reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from config.api.problems import invalid
from config.api.serializers import NOT_BLANK
from config.api.structs import not_valid

MOST_LABELS, MOST_KEYS = 20, 50
Label = Annotated[
    str,
    Meta(min_length=1, max_length=50, pattern=r'^[^\u0000-\u0020",\\]([^\u0000-\u001f",\\]*[^\u0000-\u0020",\\])?$'),
]
Labels = Annotated[list[Label], Meta(max_length=MOST_LABELS, description="To find it by; each once, in order.")]
Key = Annotated[str, Meta(min_length=1, max_length=40, pattern=NOT_BLANK)]
Value = Annotated[str, Meta(max_length=500, pattern=r"^[^\u0000]*$")]
Metadata = Annotated[
    dict[Key, Value], Meta(max_length=MOST_KEYS, description="Your own: up to 50 keys of 40 characters, texts of 500.")
]
MetadataChange = Annotated[
    dict[Key, Value | None], Meta(max_length=MOST_KEYS, description="A merge patch: null removes.")
]


def checked_labels(given: object) -> dict[str, bool]:
    """As they are stored. Raises Problem ``invalid_request``."""
    try:
        found: Sequence[str] = msgspec.convert(given, Labels, strict=True)
    except msgspec.ValidationError as error:
        raise not_valid(error, "/labels") from error
    return dict.fromkeys(sorted(found), True)


def changed_metadata(stored: Mapping[str, str], change: object) -> dict[str, str]:
    """What is to be stored after a change. Raises Problem ``invalid_request``."""
    try:
        found: Mapping[str, str | None] = msgspec.convert(change, MetadataChange, strict=True)
    except msgspec.ValidationError as error:
        raise not_valid(error, "/metadata") from error
    result = {key: value for key, value in {**stored, **found}.items() if value is not None}
    if len(result) > MOST_KEYS:
        raise invalid("/metadata", "too_many", f"There may be at most {MOST_KEYS} keys.")
    return result
