from __future__ import annotations

from collections.abc import Collection
from typing import Any

from media.models import Rendition


def described(rendition: Rendition) -> dict[str, Any]:
    """What a message shows of its file; only what is known."""
    shown = {
        "mime_type": rendition.mime_type,
        "size": rendition.size,
        "sha256": rendition.media.sha256,
        "filename": rendition.media.filename,
        "seconds": rendition.seconds,
        "width": rendition.width,
        "height": rendition.height,
        "pages": rendition.pages,
    }
    return {"status": "stored", **{name: value for name, value in shown.items() if value}}


def ready(files: Collection[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Any]]:
    """What is shown of those of the given (media id, kind) that can be sent at once; one query."""
    ids = {media_id for media_id, _ in files}
    rows = Rendition.objects.filter(media_id__in=ids, status=Rendition.Status.READY).select_related("media")
    return {(row.media_id, row.kind): described(row) for row in rows}
