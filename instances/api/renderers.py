"""A linking QR code as a picture or as text for a terminal."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import segno
from rest_framework.renderers import BaseRenderer


def _drawn(data: Mapping[str, Any], **options: Any) -> bytes:
    out = io.BytesIO()
    segno.make_qr(data["code"]).save(out, **options)
    return out.getvalue()


class PngRenderer(BaseRenderer):
    media_type, format, charset = "image/png", "png", None

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return _drawn(data, kind="png", scale=6)


class SvgRenderer(BaseRenderer):
    media_type, format, charset = "image/svg+xml", "svg", None

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return _drawn(data, kind="svg", scale=6)


class TerminalRenderer(BaseRenderer):
    media_type, format, charset = "text/plain", "text", "utf-8"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> str:
        out = io.StringIO()
        segno.make_qr(data["code"]).terminal(out, compact=True)
        return out.getvalue()
