"""Files that were received: remembered at once, downloaded later by the session worker that holds the number."""

from __future__ import annotations

import base64
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.conf import settings
from django.utils import timezone

from instances.models import Instance
from instances.settings import of
from instances.whatsapp.files import RemoteFile
from media.models import Media, Source, Status
from media.names import plain_mime_type, safe_name


def remember(*, instance: Instance, remote: RemoteFile, fetch: bool = True) -> Media:
    """The pending row of a received file, due at once if ``fetch`` and the instance's policy say so."""
    due = timezone.now() if fetch and is_wanted(instance, remote) else None
    return Media.objects.create(
        organization_id=instance.organization_id,
        network=instance.network,
        instance=instance,
        source=Source.INBOUND,
        status=Status.PENDING,
        mime_type=plain_mime_type(remote.mime_type),
        size=min(remote.size, 2**63 - 1),  # as the sender claims
        sha256=remote.file_sha256.hex()[:64],
        filename=safe_name(remote.filename),
        remote=packed(remote),
        due_at=due,
    )


def is_wanted(instance: Instance, remote: RemoteFile) -> bool:
    """Whether the instance's policy has the file fetched without being asked."""
    policy = of(instance).media
    type_ = {"gif": "video", "round": "video", "voice": "audio"}.get(remote.kind, remote.kind)
    chosen = policy.download == "all" or (policy.download != "none" and type_ in policy.download)
    return chosen and remote.size <= policy.max_bytes


def expiry() -> datetime:
    """When a received file goes."""
    return timezone.now() + timedelta(days=settings.MEDIA_INBOUND_KEEP_DAYS)


def packed(remote: RemoteFile) -> str:
    values = {name: base64.b64encode(v).decode() if isinstance(v, bytes) else v for name, v in asdict(remote).items()}
    return orjson.dumps(values).decode()


def unpacked(text: str) -> RemoteFile:
    values = orjson.loads(text)
    for name in ("media_key", "file_sha256", "file_enc_sha256"):
        values[name] = base64.b64decode(values[name])
    return RemoteFile(**values)


def content_of(media: Media) -> dict[str, Any]:
    """What a message's content says of its file."""
    known = {"mime_type": media.mime_type, "size": media.size, "sha256": media.sha256, "filename": media.filename}
    return {"id": media.id, **{name: value for name, value in known.items() if value}, "status": media.status}
