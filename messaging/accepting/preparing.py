"""Messages that wait for their file: what becomes of them when it is ready, or cannot be made so."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from instances import wakeup
from media import services as media
from media.models import Media, Rendition
from media.models import Status as MediaStatus
from media.selectors import described
from messaging.accepting.files import shown
from messaging.accepting.referring import kind_of
from messaging.models import Message
from messaging.progress import move, report
from messaging.states import Direction, Origin, Status
from subscriptions import quota
from webhooks import events

_PATIENCE = timedelta(seconds=20)
_REASONS = "The file could not be made ready."


def prepared(rendition: Rendition) -> None:
    """Let the messages go that waited for a rendition, or end them; in the transaction that ended its making."""
    waiting = Message.objects.filter(media_id=rendition.media_id, status=Status.PREPARING).order_by("id")
    rows = [row for row in waiting.select_related("instance") if kind_of(row.type, row.content) == rendition.kind]
    if not rows:
        return
    if rendition.status == Rendition.Status.READY:
        known = described(rendition)
        moved = [row for row in rows if move(row, Status.QUEUED, content=shown(row.content, known))]
        for instance_id in {row.instance_id for row in moved}:
            transaction.on_commit(partial(wakeup.holder_of, instance_id))
    else:
        moved = _fail(rows, rendition.error_code or "media_unreadable", rendition.error_detail or _REASONS)
    events.append([report(row, row.instance) for row in moved])


def _fail(rows: list[Message], code: str, detail: str) -> list[Message]:
    failed = []
    for row in rows:
        words: dict[str, Any] = {"error_code": code[:40], "error_detail": detail[:500]}
        if move(row, Status.FAILED, content={**row.content, "status": "failed"}, **words):
            failed.append(row)
    quota.release((row.organization_id, row.instance.network, row.created_at) for row in failed)
    return failed


def settled(file: Media) -> None:
    """Show in the messages that brought a file what became of it, in the same transaction."""
    if file.instance_id is None:
        return
    known = {"mime_type": file.mime_type, "size": file.size, "sha256": file.sha256}
    words = {name: value for name, value in known.items() if value} if file.status == MediaStatus.STORED else {}
    came = Q(direction=Direction.INBOUND) | Q(origin=Origin.PHONE)
    for row in Message.objects.select_for_update().filter(came, media=file).only("id", "content"):
        Message.objects.filter(pk=row.pk).update(content={**row.content, **words, "status": file.status})


def sweep(most: int = 500) -> None:
    """Ask again for files that messages wait for: the wake-up may be lost, or the answer have come too early."""
    old = Message.objects.filter(status=Status.PREPARING, created_at__lt=timezone.now() - _PATIENCE)
    old = old.exclude(type="text")  # they wait for the preview of a link
    files = {(row.media_id, kind_of(row.type, row.content)) for row in old.only("media_id", "type", "content")[:most]}
    for media_id, kind in files:
        if media_id is not None:
            media.begin(media_id=media_id, kind=kind)
    with transaction.atomic():
        lost = list(old.filter(media=None).select_related("instance")[:most])
        moved = _fail(lost, "media_expired", "The file was deleted.")
        events.append([report(row, row.instance) for row in moved])
