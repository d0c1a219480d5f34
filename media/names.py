"""Names and types of files as people gave them: shown, and never used as a path or believed."""

from __future__ import annotations

import re
import unicodedata

MAX_LENGTH = 255
# Beside control characters: those that turn the direction of text around, so that "exe.jpg" reads "gpj.exe".
_REFUSED = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")

_MIME_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,48}/[a-z0-9][a-z0-9!#$&^_.+-]{0,48}")


def plain_mime_type(text: str) -> str:
    """The type without its parameters, in lower case; empty if it is none."""
    plain = text.partition(";")[0].strip().lower()
    return plain if _MIME_TYPE.fullmatch(plain) else ""


def safe_name(text: str) -> str:
    """The last part of a path, without control characters and marks of direction; empty if nothing is left."""
    last = re.split(r"[/\\]", text)[-1]
    kept = "".join(c for c in _REFUSED.sub("", last) if unicodedata.category(c) not in ("Cc", "Cs"))
    kept = kept.strip().lstrip(".")
    stem, dot, ending = kept.rpartition(".")
    if len(kept) > MAX_LENGTH and dot and len(ending) <= 10:
        return f"{stem[: MAX_LENGTH - len(ending) - 1]}.{ending}"
    return kept[:MAX_LENGTH]
