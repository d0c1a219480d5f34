"""Hands the files of messages to WhatsApp's media servers, and takes those of received ones from there."""

from __future__ import annotations

import base64
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.utils import timezone

from instances.holding.attachments import Held
from instances.whatsapp.files import NotSendable, UploadedFile
from instances.whatsapp.jids import NEWSLETTER
from media import budget, storing
from media.models import Rendition, Upload
from messaging.accepting.referring import kind_of
from messaging.models import Message

FRESH = timedelta(days=7)  # WhatsApp keeps files for a few weeks; what is sent again has to last as long as a new one


def uploaded(held: Held, row: Message) -> UploadedFile:
    """The file of a message on WhatsApp's media servers; one that the number uploaded lately is used again.

    Waits for memory if others hold much (`media.budget`), and for WhatsApp. Raises NotSendable, SendFailed.
    """
    kind = kind_of(row.type, row.content)
    found = Rendition.objects.select_related("media").filter(media_id=str(row.media_id), kind=kind).first()
    if found is None or found.status != Rendition.Status.READY:
        code = found.error_code if found is not None else None
        raise NotSendable(code or "media_expired", "The file is not there any more.")
    newsletter = row.chat.endswith(f"@{NEWSLETTER}")
    mine = Upload.objects.filter(rendition=found, instance_id=held.instance_id, newsletter=newsletter)
    known = mine.filter(created_at__gt=timezone.now() - FRESH).first()
    reference = known.reference if known else _upload(held, found, newsletter)
    return _file(found, reference, str(row.content.get("filename") or found.media.filename))


def _upload(held: Held, rendition: Rendition, newsletter: bool) -> dict[str, Any]:
    key, size = rendition.file or rendition.media.file, rendition.size or 0
    with budget.held_bytes(size), storing.workplace() as folder:
        try:
            with storing.on_disk(key, folder) as path:
                place = held.upload(rendition.kind, path, newsletter)
        except FileNotFoundError as error:
            raise NotSendable("media_lost", "The file is gone.") from error
    reference = {
        name: base64.b64encode(value).decode() if isinstance(value, bytes) else value
        for name, value in asdict(place).items()
    }
    Upload.objects.update_or_create(
        rendition=rendition,
        instance_id=held.instance_id,
        newsletter=newsletter,
        defaults={"reference": reference, "created_at": timezone.now()},
    )
    return reference


def _file(rendition: Rendition, reference: dict[str, Any], filename: str) -> UploadedFile:
    return UploadedFile(
        url=reference["url"],
        direct_path=reference["direct_path"],
        media_key=base64.b64decode(reference["media_key"]),
        file_sha256=base64.b64decode(reference["file_sha256"]),
        file_enc_sha256=base64.b64decode(reference["file_enc_sha256"]),
        file_length=reference["file_length"],
        mime_type=rendition.mime_type,
        filename=filename,
        seconds=rendition.seconds,
        width=rendition.width,
        height=rendition.height,
        thumbnail=bytes(rendition.thumbnail or b""),
        waveform=bytes(rendition.waveform or b""),
    )
