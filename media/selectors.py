from __future__ import annotations

from collections.abc import Collection
from typing import Any

from config.timestamps import iso
from media.models import Media, Rendition


def media_data(media: Media) -> dict[str, Any]:
    """The file as clients see it, in answers and in events."""
    return {
        "id": media.id,
        "status": media.status,
        "source": media.source,
        "instance": media.instance_id,
        "mime_type": media.mime_type or None,
        "size": media.size,
        "sha256": media.sha256 or None,
        "filename": media.filename or None,
        "error": {"code": media.error_code, "detail": media.error_detail} if media.error_code else None,
        "created_at": iso(media.created_at),
        "last_used_at": iso(media.last_used_at),
        "expires_at": iso(media.expires_at),
    }


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
    }
    return {"status": "stored", **{name: value for name, value in shown.items() if value}}


def ready(files: Collection[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Any]]:
    """What is shown of those of the given (media id, kind) that can be sent at once; one query."""
    ids = {media_id for media_id, _ in files}
    rows = Rendition.objects.filter(media_id__in=ids, status=Rendition.Status.READY).select_related("media")
    return {(row.media_id, row.kind): described(row) for row in rows}
