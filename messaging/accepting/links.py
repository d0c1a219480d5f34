"""Links in texts."""

from __future__ import annotations

import re

from messaging.models import Message

_LINK = re.compile(r"https?://[^\s<>\"'\x00-\x20]{3,1900}", re.IGNORECASE)


def first_link(body: str) -> str | None:
    """The first link of a text, without the punctuation that ends its sentence."""
    found = _LINK.search(body)
    return found[0].rstrip(".,;:!?)]}'\"") if found else None


def awaits_preview(message: Message) -> bool:
    """Whether a message goes out only when its link was looked at."""
    return "link_preview" in message.attributes and first_link(message.content["body"]) is not None
