"""Links to files that need no credentials, for a short time. Another MEDIA_SIGNING_KEY ends all that are out."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core import signing
from django.core.files.storage import default_storage

from media.models import Media
from media.serving import disposition, served_as


def _signer() -> signing.Signer:
    return signing.Signer(key=settings.MEDIA_SIGNING_KEY, sep=".", salt="media")


def link_to(media: Media) -> tuple[str, datetime]:
    """The address of a stored file, and until when it is good."""
    until = int(time.time()) + settings.MEDIA_LINK_SECONDS
    expires_at = datetime.fromtimestamp(until, UTC)
    return direct_link(media) or f"{settings.PUBLIC_URL}/files/{_signer().sign(f'{media.id}.{until}')}", expires_at


def direct_link(media: Media) -> str | None:
    """The address of a file that a storage of its own serves, S3's; None if we serve it."""
    storage: Any = default_storage
    if not hasattr(storage, "bucket_name"):
        return None
    words = {"ResponseContentType": served_as(media), "ResponseContentDisposition": disposition(media)}
    return str(storage.url(media.file, parameters=words))


def media_id_in(token: str) -> str | None:
    """The id of the file that a token opens; None for one that is false or has expired."""
    try:
        media_id, _, until = _signer().unsign(token).partition(".")
    except signing.BadSignature:
        return None
    return media_id if int(until) > time.time() else None
