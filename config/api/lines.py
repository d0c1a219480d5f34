"""Answers of any length: JSON objects, one on each line, sent as they are made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson
from django.http import StreamingHttpResponse
from rest_framework.renderers import BaseRenderer

from config.api.renderers import JSONRenderer

LINES = "application/x-ndjson"
_BYTES = 32_000  # so much goes out at a time


class LinesRenderer(BaseRenderer):
    """Accepts the media type; what it would render is sent by `lines`."""

    media_type, format, charset = LINES, "ndjson", None

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return JSONRenderer().render(data)


def lines(rows: Iterable[Any]) -> StreamingHttpResponse:
    """A 200 whose rows are taken while it is sent: memory stays flat. An error midway breaks the connection off."""
    return StreamingHttpResponse(_chunks(rows), content_type=LINES)


def _chunks(rows: Iterable[Any]) -> Iterator[bytes]:
    chunk = bytearray()
    for row in rows:
        chunk += orjson.dumps(row, default=str) + b"\n"
        if len(chunk) >= _BYTES:
            yield bytes(chunk)
            chunk.clear()
    yield bytes(chunk)
