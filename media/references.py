from __future__ import annotations

from typing import NamedTuple


class MediaRef(NamedTuple):
    """How a request names a file: by exactly one of ``id`` (of our media), ``link``, and ``data`` (base64)."""

    kind: str
    id: str | None = None
    link: str | None = None
    data: str | None = None
    filename: str | None = None
    mime_type: str | None = None
