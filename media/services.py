"""The verbs: taking files in, having them made ready, letting them go."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.core.files.base import ContentFile, File
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.actor import Actor
from config.api.problems import Problem, invalid
from config.egress import InvalidUrl, checked_url
from config.ids import first_id
from instances import wakeup as instance_wakeup
from instances.models import Instance, Network
from media import access, handlers, storing, wakeup
from media.kinds import RULES
from media.models import Kind, Media, Rendition, Source, Status, Upload
from media.names import plain_mime_type, safe_name
from media.references import MediaRef
from media.sniffing import HEAD_BYTES, sniffed
from subscriptions.selectors import retentions
from webhooks import events

_CLEARED = 50
_USED_AGAIN = timedelta(hours=1)  # so often a use is noted at most
_SLACK = timedelta(days=1)  # so that a message scheduled for the last day, or used without a note, finds its file


def network_of(actor: Actor) -> str | None:
    """The network whose instances may send what the caller brings; None: any of the organization's."""
    return None if actor.mode is None else Network(actor.networks[0]).value


def expiry() -> datetime:
    """When a file to send goes if it is not used again from now on."""
    return timezone.now() + timedelta(days=settings.MEDIA_KEEP_DAYS) + _SLACK


Told = Callable[[Media], object]


def _nobody(media: Media) -> None:
    """Nobody is to be told."""


def store(
    *,
    actor: Actor,
    content: File[bytes],
    sha256: str,
    source: str,
    filename: str = "",
    mime_type: str = "",
    told: Told = _nobody,
) -> Media:
    """Keep a file; its type is found by its content. Not inside a transaction.

    ``told`` is called in the one that writes its row. Raises Problem ``media_empty`` or ``media_quota_exceeded``.
    """
    size = content.size
    if not size:
        raise Problem("media_empty")
    content.seek(0)
    name = safe_name(filename)
    found = sniffed(content.read(HEAD_BYTES), name, plain_mime_type(mime_type))
    content.seek(0)
    storing.check_room(actor.organization_id, size)
    key = storing.keep(actor.organization_id, content)
    with transaction.atomic():
        storing.claim(key, actor.organization_id, size)
        media = Media.objects.create(
            organization_id=actor.organization_id,
            network=network_of(actor),
            source=source,
            status=Status.STORED,
            file=key,
            mime_type=found,
            size=size,
            sha256=sha256,
            filename=name,
            expires_at=expiry(),
        )
        told(media)
        return media


def store_data(*, actor: Actor, data: str, told: Told = _nobody, **words: str) -> Media:
    """Keep a file given as base64. Raises Problem ``invalid_request``, and as `store`."""
    content = decoded(data)
    digest = hashlib.sha256(content).hexdigest()
    file = ContentFile(content)
    return store(actor=actor, content=file, sha256=digest, source=Source.DATA, told=told, **words)


def decoded(data: str) -> bytes:
    """The bytes of base64, in the URL's alphabet as well, with or without padding and a ``data:`` prefix.

    Raises Problem ``invalid_request`` with code ``invalid_base64``.
    """
    text = data.partition(",")[2] if data.startswith("data:") else data
    try:
        padded = text.translate(_URL_ALPHABET) + "=" * (-len(text) % 4)
        return base64.b64decode(padded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid("/data", "invalid_base64", "This is not base64.") from error


_URL_ALPHABET = str.maketrans("-_", "+/")


@transaction.atomic
def store_link(*, actor: Actor, link: str, filename: str = "", mime_type: str = "", told: Told = _nobody) -> Media:
    """Note a link, to be fetched by the task worker. Raises Problem ``invalid_request`` with code ``invalid_url``."""
    check_link(link)
    media = Media.objects.create(
        organization_id=actor.organization_id,
        network=network_of(actor),
        source=Source.LINK,
        status=Status.PENDING,
        link=link,
        mime_type=plain_mime_type(mime_type),
        filename=safe_name(filename),
        due_at=timezone.now(),
        expires_at=expiry(),
    )
    told(media)
    transaction.on_commit(wakeup.fetch)
    return media


def check_link(link: str) -> None:
    """Whether the address may be fetched at all; where it leads is found out later."""
    try:
        checked_url(link)
    except InvalidUrl as error:
        raise invalid("/link", "invalid_url", str(error)) from error


def admit(actor: Actor, refs: Sequence[MediaRef]) -> list[Media | Problem]:
    """The files that messages name, in order, or why one cannot be sent; links become rows, data files.

    To be called before the transaction that accepts the messages, and not inside one. Refs that are the same
    share a row. A Problem is ``not_found`` or ``invalid_request`` with the code of its field.
    """
    known: dict[tuple[str | None, str | None, str | None], Media | Problem] = {}
    wanted = [ref.id for ref in refs if ref.id is not None]
    found = access.many(actor, wanted) if wanted else {}
    answers: list[Media | Problem] = []
    for ref in refs:
        key = (ref.id, ref.link, ref.data)
        if key not in known:
            known[key] = _admitted(actor, ref, found)
        answers.append(_fitting(known[key], ref.kind))
    return answers


def _admitted(actor: Actor, ref: MediaRef, found: dict[str, Media]) -> Media | Problem:
    words: dict[str, Any] = {"filename": ref.filename or "", "mime_type": ref.mime_type or ""}
    try:
        if ref.id is not None:
            if ref.id not in found:
                return invalid(f"/{_field(ref.kind)}/id", "media_not_found", "There is no such file.")
            return found[ref.id]
        if ref.link is not None:
            return store_link(actor=actor, link=ref.link, **words)
        return store_data(actor=actor, data=ref.data or "", **words)
    except Problem as problem:
        for place, error in enumerate(problem.errors):
            problem.errors[place] = error._replace(pointer=f"/{_field(ref.kind)}{error.pointer}")
        return problem


def _field(kind: str) -> str:
    """The field of a message in which a file of the kind stands."""
    return {Kind.GIF.value: "video", Kind.ROUND.value: "video", Kind.VOICE.value: "audio"}.get(kind, kind)


def _fitting(media: Media | Problem, kind: str) -> Media | Problem:
    if isinstance(media, Problem):
        return media
    if media.status in (Status.FAILED, Status.EXPIRED):
        pointer = f"/{_field(kind)}/id"
        return invalid(pointer, media.error_code or "media_expired", f"The file is {media.status}.")
    refusal = refusal_of(media, kind)
    return invalid(f"/{_field(kind)}", *refusal) if refusal else media


def refusal_of(media: Media, kind: str) -> tuple[str, str] | None:
    """Code and sentence if what is known of a file says that it cannot be sent as this kind."""
    rule = RULES[kind]
    if media.status != Status.STORED:
        return None
    if media.size is not None and media.size > rule.most_given:
        return "media_too_large", f"To be sent as {kind} a file may have {rule.most_given} bytes."
    if rule.accepted and media.mime_type not in rule.accepted:
        return "media_type_not_allowed", f"A file of type {media.mime_type} cannot be sent as {kind}."
    return None


def prepare(media_id: str, kind: str) -> None:
    """Have the task worker make a file ready to be sent as a kind. Idempotent, never fails; the hint may be lost.

    The handlers are called when it is ready, also if it was before: whoever waits may have come in between.
    """
    wakeup.prepare(media_id, kind)


@transaction.atomic
def begin(*, media_id: str, kind: str) -> None:
    """Put the rendition on the list of work, or tell the handlers again what became of it. Idempotent.

    One that failed for want of room is made again: what was in the way may be gone.
    """
    media = Media.objects.filter(pk=media_id).first()
    if media is None:
        return
    row, _ = Rendition.objects.get_or_create(media=media, kind=kind)
    if row.error_code == "media_quota_exceeded":
        failed = Rendition.objects.filter(pk=row.pk, status=Rendition.Status.FAILED)
        failed.update(
            status=Rendition.Status.PREPARING, error_code=None, error_detail=None, attempts=0, due_at=timezone.now()
        )
        row.refresh_from_db()
    if row.status != Rendition.Status.PREPARING:
        tell_prepared(row)
    elif media.status in (Status.FAILED, Status.EXPIRED):
        fail_rendition(row, media.error_code or "media_expired", media.error_detail or "")
    elif media.status == Status.PENDING and media.due_at is None:  # received, and left out by policy so far
        Media.objects.filter(pk=media.pk, due_at=None, status=Status.PENDING).update(due_at=timezone.now())


def fail_rendition(row: Rendition, code: str, detail: str) -> None:
    """In the caller's transaction."""
    preparing = Rendition.objects.filter(pk=row.pk, status=Rendition.Status.PREPARING)
    if preparing.update(status=Rendition.Status.FAILED, error_code=code, error_detail=detail):
        row.status, row.error_code, row.error_detail = Rendition.Status.FAILED, code, detail
        tell_prepared(row)


def fail_renditions(media: Media) -> None:
    """Those that waited for a file that is not coming; in the caller's transaction."""
    for row in media.renditions.filter(status=Rendition.Status.PREPARING):
        fail_rendition(row, media.error_code or "media_expired", media.error_detail or "")


@transaction.atomic
def fetch_again(*, media: Media) -> Media:
    """Have a received file downloaded that policy left out or that failed. Raises Problem ``media_not_fetchable``."""
    if media.status == Status.STORED:
        return media
    again = Media.objects.filter(pk=media.pk, status__in=[Status.PENDING, Status.FAILED], remote__isnull=False)
    words = {"error_code": None, "error_detail": None, "attempts": 0, "due_at": timezone.now()}
    if not again.update(status=Status.PENDING, **words):
        raise Problem("media_not_fetchable", f"The file is {media.status}.")
    media.renditions.filter(status=Rendition.Status.FAILED).delete()  # for want of the file: made anew when it is here
    if media.instance_id is not None:
        transaction.on_commit(partial(instance_wakeup.holder_of, media.instance_id))
    return Media.objects.get(pk=media.pk)


def used(media_ids: Sequence[str]) -> None:
    """Files to send that are used again stay for longer; in the caller's transaction."""
    rows = Media.objects.filter(pk__in=media_ids, last_used_at__lt=timezone.now() - _USED_AGAIN)
    received = rows.filter(source=Source.INBOUND)
    received.update(last_used_at=timezone.now())
    rows.update(last_used_at=timezone.now(), expires_at=expiry())


def delete(*, media: Media) -> None:
    """The row stays as ``expired``, for the messages that name it; its files go. Idempotent."""
    with transaction.atomic():
        expire(media)


def expire(media: Media) -> bool:
    """End a file, in the caller's transaction; False if it had ended already."""
    # Locked and read again: it may have been stored, and a rendition made, since the caller looked.
    row = Media.objects.select_for_update().filter(pk=media.pk).exclude(status=Status.EXPIRED).first()
    if row is None:
        return False
    Media.objects.filter(pk=row.pk).update(status=Status.EXPIRED, file="", due_at=None, remote=None, expires_at=None)
    if row.file:
        storing.give_up(row.file, row.organization_id, row.size or 0)
    for rendition in row.renditions.filter(status=Rendition.Status.PREPARING):
        fail_rendition(rendition, "media_expired", "The file was deleted.")
    for rendition in row.renditions.exclude(file=""):
        storing.give_up(rendition.file, row.organization_id, rendition.size or 0)
    Upload.objects.filter(rendition__media=media).delete()
    media.renditions.update(status=Rendition.Status.FAILED, file="", error_code="media_expired")
    media.status, media.file = Status.EXPIRED, ""
    tell_settled(media)
    return True


def expire_due(most: int) -> int:
    """End files whose time is over, at most so many, each in a transaction of its own; their number."""
    expired = Media.objects.filter(expires_at__lte=timezone.now()).exclude(status=Status.EXPIRED)
    rows = list(expired.order_by("expires_at")[:most])
    for media in rows:
        delete(media=media)
    return len(rows)


def purge_old(most: int) -> int:
    """Delete received files that are older than their organization's plan keeps messages, rows included; of files to
    send the rows that have nothing to say any more, since no message of theirs is left.
    """
    done = 0
    for organization_id, days in retentions():
        moment = timezone.now() - timedelta(days=days)
        unused = Q(source=Source.INBOUND) | Q(status=Status.EXPIRED, last_used_at__lt=moment)
        old = Media.objects.filter(unused, organization_id=organization_id, pk__lt=first_id(moment, "med"))
        for media in old.order_by("pk")[: most - done]:
            with transaction.atomic():
                expire(media)
                Media.objects.filter(pk=media.pk).delete()
            done += 1
    return done


def clear(instance: Instance) -> bool:
    """Delete some of the files of a deleted instance, rows included, in the caller's transaction; True if there may be
    more.
    """
    rows = list(Media.objects.filter(instance=instance).order_by("pk")[:_CLEARED])
    for media in rows:
        expire(media)
    Media.objects.filter(pk__in=[media.pk for media in rows]).delete()
    return bool(rows)


def tell_settled(media: Media) -> None:
    """Tell higher floors, in the transaction in which the file became stored, failed or expired."""
    for tell in handlers.settled:
        tell(media)


def tell_prepared(rendition: Rendition) -> None:
    """Tell higher floors, in the transaction in which the rendition became ready or failed."""
    for tell in handlers.prepared:
        tell(rendition)


def draft_of(media: Media, data: dict[str, Any]) -> events.Draft | None:
    """The event that reports what became of a file that was fetched; None where nobody asked for one."""
    if media.network is None or media.status not in (Status.STORED, Status.FAILED):
        return None
    return events.Draft(media.organization_id, media.instance_id, media.network, f"media.{media.status}", data)
