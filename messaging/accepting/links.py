"""Links in texts."""

from __future__ import annotations

import re

_LINK = re.compile(r"https?://[^\s<>\"'\x00-\x20]{3,1900}", re.IGNORECASE)


def first_link(body: str) -> str | None:
    """The first link of a text, without the punctuation that ends its sentence."""
    found = _LINK.search(body)
    return found[0].rstrip(".,;:!?)]}'\"") if found else None
