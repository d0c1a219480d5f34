"""Fetching what links name, through the guarded client."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from config.api.middleware import MAX_FILE_BYTES
from config.api.problems import Problem
from config.egress import BrokenReply, Client, EgressError, Fetched, InvalidUrl, TimedOut, TlsFailed, TooLarge
from media import selectors, services, storing, wakeup
from media.models import Media, Source, Status
from media.names import plain_mime_type, safe_name
from media.sniffing import HEAD_BYTES, sniffed
from media.worklist import Worklist
from webhooks import events

PLACES = 4
MAX_ATTEMPTS = 3
_RETRY = (timedelta(seconds=2), timedelta(seconds=15))
_LEASE = timedelta(seconds=60)  # beyond the time that a fetch may take


class Failure(NamedTuple):
    code: str
    detail: str
    again: bool


def due() -> QuerySet[Media]:
    return Media.objects.filter(source=Source.LINK, status=Status.PENDING, due_at__isnull=False)


def fetch(media: Media) -> None:
    """Fetch a claimed link into the storage, or note why not."""
    with storing.workplace() as folder:
        path = folder / "file"
        outcome = _download(media.link, path)
        if isinstance(outcome, Failure):
            _failed(media, outcome)
            return
        _stored(media, path, *outcome)


def _download(link: str, path: Path) -> tuple[Fetched, str] | Failure:
    """The head of the reply and the content's SHA-256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:

        def write(piece: bytes) -> None:
            digest.update(piece)
            file.write(piece)

        try:
            fetched = asyncio.run(_get(link, write))
        except (EgressError, InvalidUrl) as error:
            return _failure_of(error)
    if not 200 <= fetched.status < 300:
        again = fetched.status in (408, 425, 429) or fetched.status >= 500
        return Failure("link_status", f"The server answered with status {fetched.status}.", again)
    if not fetched.size:
        return Failure("media_empty", "The server answered with an empty file.", False)
    return fetched, digest.hexdigest()


async def _get(link: str, write: object) -> Fetched:
    client = Client(allowed=settings.MEDIA_PRIVATE_NETWORKS, total_seconds=settings.MEDIA_FETCH_SECONDS)
    try:
        return await client.get(link, write=write, most_bytes=MAX_FILE_BYTES)  # type: ignore[arg-type]
    finally:
        await client.aclose()


def _failure_of(error: Exception) -> Failure:
    if isinstance(error, TooLarge):
        return Failure("link_too_large", f"The file is larger than {MAX_FILE_BYTES} bytes.", False)
    if isinstance(error, TimedOut):
        return Failure("link_timeout", "The server did not send the file in time.", True)
    if isinstance(error, TlsFailed):
        return Failure(
            "link_unreachable", "The server's TLS certificate is not valid for its name, or TLS failed.", False
        )
    if isinstance(error, BrokenReply):
        return Failure("link_broken", "The server broke the connection, or sent what is no plain file.", True)
    return Failure("link_unreachable", "The server could not be reached.", True)


def _stored(media: Media, path: Path, fetched: Fetched, sha256: str) -> None:
    name = media.filename or _name_of(fetched)
    with path.open("rb") as file:
        found = sniffed(file.read(HEAD_BYTES), name, plain_mime_type(fetched.headers.get("content-type", "")))
    try:
        storing.check_room(media.organization_id, fetched.size)
        with storing.OnDisk(path.open("rb")) as content:
            key = storing.keep(media.organization_id, content)
        with transaction.atomic():
            storing.claim(key, media.organization_id, fetched.size)
            _settle(media, Status.STORED, file=key, mime_type=found, size=fetched.size, sha256=sha256, filename=name)
    except Problem as problem:
        _failed(media, Failure(problem.code, problem.detail, False))


def _name_of(fetched: Fetched) -> str:
    return safe_name(unquote(urlsplit(fetched.url).path.rpartition("/")[2], errors="replace"))


def _failed(media: Media, failure: Failure) -> None:
    if failure.again and media.attempts < MAX_ATTEMPTS:
        pause = _RETRY[min(media.attempts, len(_RETRY)) - 1]
        Media.objects.filter(pk=media.pk, due_at=media.due_at).update(due_at=timezone.now() + pause)
        return
    with transaction.atomic():
        _settle(media, Status.FAILED, error_code=failure.code, error_detail=failure.detail)


def _settle(media: Media, status: str, **columns: object) -> None:
    """Raises RuntimeError if somebody else has the claim by now, or it was deleted meanwhile."""
    values = {"status": status, "due_at": None, **columns}
    if not due().filter(pk=media.pk, due_at=media.due_at).update(**values):
        raise RuntimeError("the claim on the link was lost")
    for name, value in values.items():
        setattr(media, name, value)
    services.tell_settled(media)
    if draft := services.draft_of(media, selectors.media_data(media)):
        events.append([draft])
    if status == Status.STORED:
        transaction.on_commit(wakeup.convert)
    else:
        services.fail_renditions(media)


def worklist() -> Worklist[Media]:
    lease = timedelta(seconds=settings.MEDIA_FETCH_SECONDS) + _LEASE
    return Worklist("fetch", PLACES, lease, due, "organization_id", fetch)
