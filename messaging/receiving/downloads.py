"""Downloads the files of received messages, in the session worker that holds the number.

Loaded in session workers only. The list of work is in the database: what a worker that died had begun is due again
after a while. Downloads run on threads of their own, so that no event of the number and no send waits for them, and
in pieces, so that no file is ever in memory.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from django.db import connection
from django.db.models import F
from django.utils import timezone

from config.api.middleware import MAX_FILE_BYTES
from instances.holding import attachments, writer
from instances.holding.attachments import Held
from instances.holding.writer import Handler, Item, Written
from instances.models import Instance
from instances.settings import of
from instances.whatsapp import downloading
from instances.whatsapp.downloading import Gone, TooMuch, Unavailable, Unreadable
from instances.whatsapp.files import RemoteFile
from instances.whatsapp.news import News
from media import inbound, services, storing
from media.models import Media, Source, Status
from media.selectors import media_data
from media.sniffing import HEAD_BYTES, sniffed
from webhooks.events import Draft

log = structlog.get_logger(__name__)
THREADS, LOOK_SECONDS, CLOSE_SECONDS = 3, 2.0, 2.0
LEASE = timedelta(minutes=10)  # beyond downloading.SECONDS, and the time to hand a file to the storage
RETRY = tuple(timedelta(seconds=seconds) for seconds in (2, 10, 60, 600, 3600, 6 * 3600))


class Interrupted(Exception):
    """The worker lets go of the number."""


@dataclass(frozen=True, slots=True)
class Downloaded:
    """How the download of a claimed file ended: ``stored`` with what it is, or a status with a code.

    ``pending`` means another attempt at ``due_at``.
    """

    media_id: str
    claim: datetime
    status: str
    columns: dict[str, Any] = field(default_factory=dict)


def write(items: list[Item], held: dict[str, Instance]) -> Written:
    """A handler of the session worker's writer."""
    drafts = [draft for item in items for draft in _written(item.value)]
    return Written([None] * len(items), drafts)


def _written(done: Downloaded) -> list[Draft]:
    claimed = Media.objects.filter(pk=done.media_id, status=Status.PENDING, due_at=done.claim)
    media = claimed.first()
    if media is None:
        return []  # deleted meanwhile, or somebody else's by now; the collector finds the file
    status, columns = done.status, dict(done.columns)
    if status == Status.STORED:
        try:
            storing.claim(columns["file"], media.organization_id, columns["size"])
        except services.Problem as problem:
            status, columns = Status.FAILED, {"error_code": problem.code, "error_detail": problem.detail}
    if status != Status.PENDING:
        columns = {"due_at": None, **columns}
    claimed.update(status=status, **columns)
    if status == Status.PENDING:
        return []
    for name, value in {"status": status, **columns}.items():
        setattr(media, name, value)
    services.tell_settled(media)
    if status != Status.STORED:
        services.fail_renditions(media)
    draft = services.draft_of(media, media_data(media))
    return [draft] if draft else []


HANDLERS: dict[type, Handler] = {Downloaded: write}


class _Downloads:
    """What one worker downloads: `THREADS` files at a time, of the numbers that are online."""

    def __init__(self) -> None:
        self._online: dict[str, Held] = {}
        self._closing: set[str] = set()
        self._running: dict[str, str] = {}  # instances by their file
        self._ended = threading.Condition()
        self._awake = threading.Event()
        self._free = threading.Semaphore(THREADS)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="download")
        threading.Thread(target=self._run, name="downloads", daemon=True).start()

    def enter(self, held: Held) -> None:
        self._closing.discard(held.instance_id)
        self._online[held.instance_id] = held
        self._awake.set()

    def leave(self, held: Held) -> None:
        self._online.pop(held.instance_id, None)

    def close(self, held: Held, deadline: float) -> None:
        """Interrupt the downloads of a number, and give them a moment to say so; else their claims run out."""
        self.leave(held)
        self._closing.add(held.instance_id)
        seconds = min(CLOSE_SECONDS, max(0.0, deadline - time.monotonic()))
        with self._ended:
            self._ended.wait_for(lambda: held.instance_id not in self._running.values(), seconds)

    def wake(self) -> None:
        self._awake.set()

    def _run(self) -> None:
        while True:
            self._awake.wait(LOOK_SECONDS)
            self._awake.clear()
            try:
                while self._begin():
                    pass
            except Exception:
                log.exception("downloads_failed")
                time.sleep(LOOK_SECONDS)
            finally:
                connection.close()

    def _begin(self) -> bool:
        """Begin the download that is due first; False if none is or all threads are busy."""
        if not self._free.acquire(blocking=False):
            return False
        media = claim(list(self._online)) if self._online else None
        held = self._online.get(str(media.instance_id)) if media else None
        if media is None or held is None:
            self._free.release()
            return False
        with self._ended:
            self._running[media.pk] = held.instance_id
        self._pool.submit(self._work, held, media)
        return True

    def _work(self, held: Held, media: Media) -> None:
        try:
            download(held, media, lambda: held.instance_id in self._closing)
        except Exception:
            log.exception("download_failed", media=media.pk)  # due again when the claim runs out
        finally:
            connection.close()
            with self._ended:
                del self._running[media.pk]
                self._ended.notify_all()
            self._free.release()
            self._awake.set()


def claim(instance_ids: list[str]) -> Media | None:
    """Take the received file of these numbers that is due first, for LEASE."""
    now = timezone.now()
    due = Media.objects.filter(source=Source.INBOUND, status=Status.PENDING, due_at__lte=now)
    due = due.select_related("instance")
    for media in due.filter(instance_id__in=instance_ids).order_by("due_at")[:10]:
        mine = Media.objects.filter(pk=media.pk, status=Status.PENDING, due_at=media.due_at)
        if mine.update(due_at=now + LEASE, attempts=F("attempts") + 1):
            media.due_at, media.attempts = now + LEASE, media.attempts + 1
            return media
    return None


def download(held: Held, media: Media, interrupted: Callable[[], bool] = lambda: False) -> None:
    """Download a claimed file into the storage and have the outcome written; stops soon when ``interrupted``."""
    assert media.due_at is not None
    try:
        status, columns = _fetched(media, interrupted)
    except Interrupted:
        status, columns = Status.PENDING, {"due_at": timezone.now(), "attempts": media.attempts - 1}
    held.write(Downloaded(media.id, media.due_at, status, columns)).result()


def _fetched(media: Media, interrupted: Callable[[], bool]) -> tuple[str, dict[str, Any]]:
    remote = inbound.unpacked(str(media.remote))
    if remote.size > MAX_FILE_BYTES:
        return _failed("media_too_large", f"The file is larger than {MAX_FILE_BYTES} bytes.")
    try:
        storing.check_room(media.organization_id, remote.size)
        with storing.workplace() as folder:
            path = folder / "file"
            size = _save(remote, path, _most_bytes(media, remote), interrupted)
            if not size:
                return _failed("media_empty", "The file has no bytes.")
            with path.open("rb") as file:
                found = sniffed(file.read(HEAD_BYTES), media.filename, remote.mime_type)
            with storing.OnDisk(path.open("rb")) as content:
                key = storing.keep(media.organization_id, content)
    except services.Problem as problem:
        return _failed(problem.code, problem.detail)
    except (Gone, TooMuch, Unavailable, Unreadable) as error:
        return _failure(media, error)
    return Status.STORED, {
        "file": key,
        "mime_type": found,
        "size": size,
        "sha256": remote.file_sha256.hex(),
        "error_code": None,
        "error_detail": None,
        "expires_at": inbound.expiry(),
    }


def _save(remote: RemoteFile, path: Path, most_bytes: int, interrupted: Callable[[], bool]) -> int:
    with path.open("wb") as file:

        def write(piece: bytes) -> None:
            if interrupted():
                raise Interrupted
            file.write(piece)

        return downloading.download(remote, write, most_bytes)


def _most_bytes(media: Media, remote: RemoteFile) -> int:
    """What may come of a file: senders state sizes wrongly, so as much as they could have stated and been fetched."""
    instance = media.instance
    return min(MAX_FILE_BYTES, max(remote.size, of(instance).media.max_bytes if instance else 0))


def _failed(code: str, detail: str, status: str = Status.FAILED) -> tuple[str, dict[str, Any]]:
    return status, {"error_code": code, "error_detail": detail}


def _failure(media: Media, error: Exception) -> tuple[str, dict[str, Any]]:
    if isinstance(error, Gone):
        return _failed("media_gone", "WhatsApp does not keep the file any more.", Status.EXPIRED)
    if isinstance(error, TooMuch):
        return _failed("media_too_large", "There is more of the file than its message says, and than is fetched.")
    if isinstance(error, Unreadable):
        return _failed("media_unreadable", "What WhatsApp keeps is not what the message says.")
    if media.attempts > len(RETRY):
        return _failed("download_failed", "The file could not be downloaded.")
    log.info("download_again", media=media.pk, error=str(error)[:200])
    return Status.PENDING, {"due_at": timezone.now() + RETRY[media.attempts - 1]}


_made = threading.Lock()
_worker: list[_Downloads] = []


def _downloads() -> _Downloads:
    """One for the process, begun with its first number."""
    with _made:
        if not _worker:
            _worker.append(_Downloads())
        return _worker[0]


class Downloads:
    """The attachment of one number."""

    def __init__(self, held: Held) -> None:
        self._held = held

    def online(self) -> None:
        _downloads().enter(self._held)

    def offline(self) -> None:
        _downloads().leave(self._held)

    def seen(self, news: News) -> None:
        pass

    def wake(self) -> None:
        _downloads().wake()

    def close(self, deadline: float) -> None:
        _downloads().close(self._held, deadline)


def find_work(instance_ids: list[str]) -> Iterable[str]:
    """The instances with files to download."""
    due = Media.objects.filter(source=Source.INBOUND, status=Status.PENDING, due_at__lte=timezone.now())
    return due.filter(instance_id__in=instance_ids).order_by().values_list("instance_id", flat=True).distinct()


attachments.attach.append(Downloads)
attachments.find_work.append(find_work)
writer.handlers.update(HANDLERS)
