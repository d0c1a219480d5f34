from __future__ import annotations

from typing import NamedTuple

_Q = "[A-Za-z0-9+/_-]"
# Base64 in either alphabet, with or without padding, as itself or as a data: URL; at least one byte.
DATA_PATTERN = (
    f"^(?:data:[^,\\u0000]*,)?(?:(?:{_Q}{{4}})+(?:{_Q}{{2}}={{0,2}}|{_Q}{{3}}=?)?|{_Q}{{2}}={{0,2}}|{_Q}{{3}}=?)$"
)


class MediaRef(NamedTuple):
    """How a request names a file: by exactly one of ``id`` (of our media), ``link``, and ``data`` (base64)."""

    kind: str
    id: str | None = None
    link: str | None = None
    data: str | None = None
    filename: str | None = None
    mime_type: str | None = None
