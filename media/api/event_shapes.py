"""What the events of files hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from media.api.schema import MediaFile
from media.models import Media
from media.selectors import media_data
from webhooks.catalogue import Content

_AT = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


def _of(**columns: Any) -> Content:
    row = Media(id="med_01h455vb4pex5vsknk084sn02q", source="inbound", created_at=_AT, last_used_at=_AT, **columns)
    row.instance_id = "ins_01h455vb4pex5vsknk084sn02q"
    return Content(MediaFile, media_data(row))


EVENTS = {
    "media.stored": _of(status="stored", mime_type="image/jpeg", size=48213, sha256=64 * "a", filename="photo.jpg"),
    "media.failed": _of(status="failed", error_code="media_gone", error_detail="WhatsApp has the file no more."),
}
