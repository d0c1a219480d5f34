"""Files in the storage, and how no crash leaves one behind that nobody knows of.

A file is named in `Garbage` before it is written, and leaves that list in the transaction that writes the row
naming it; a row's end puts it back there. So whatever dies in between, the collector finds what is left.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.db.models import F
from django.utils import timezone

from config.api.problems import Problem
from media.models import Garbage, Storage

UNCLAIMED = timedelta(hours=1)  # longer than any request or conversion takes
CHUNK_BYTES = 256 * 1024


class OnDisk(File):
    """A file of ours that the storage may move instead of copying it."""

    def temporary_file_path(self) -> str:
        return str(self.file.name)  # type: ignore[union-attr]


def keep(organization_id: str, content: File[bytes]) -> str:
    """Write a new file under an unguessable key and return that; call `claim` in the transaction that names it.

    Not inside a transaction, which would hide the file from the collector until it ends.
    """
    now = timezone.now()
    key = f"{organization_id}/{now:%Y/%m}/{secrets.token_hex(24)}"
    Garbage.objects.create(file=key, due_at=now + UNCLAIMED)
    if hasattr(content, "temporary_file_path"):
        with open(content.temporary_file_path(), "rb") as file:
            os.fsync(file.fileno())  # a row must not outlive its file when the machine loses power
    saved = default_storage.save(key, content)
    if saved != key:
        raise RuntimeError("two files got one random key")
    return key


def claim(key: str, organization_id: str, size: int) -> None:
    """Count the file, in the transaction that writes the row with its key. Raises Problem ``media_quota_exceeded``."""
    reserve(organization_id, size)
    if not Garbage.objects.filter(file=key).delete()[0]:
        raise RuntimeError("the file came too late and may be gone")


def give_up(key: str, organization_id: str, size: int) -> None:
    """The row that named the file goes, in the same transaction; the collector deletes the file."""
    Garbage.objects.get_or_create(file=key, defaults={"due_at": timezone.now()})
    Storage.objects.filter(organization_id=organization_id, bytes__gte=size).update(bytes=F("bytes") - size)


def reserve(organization_id: str, size: int) -> None:
    """Raises Problem ``media_quota_exceeded``."""
    row = Storage.objects.filter(organization_id=organization_id)
    fits = row.filter(bytes__lte=settings.MEDIA_QUOTA_BYTES - size)
    if fits.update(bytes=F("bytes") + size):
        return
    _, new = Storage.objects.get_or_create(organization_id=organization_id)
    if not (new and fits.update(bytes=F("bytes") + size)):
        raise over_quota()


def check_room(organization_id: str, size: int) -> None:
    """Whether so many bytes more would fit now; `claim` decides. Raises Problem ``media_quota_exceeded``."""
    used = Storage.objects.filter(organization_id=organization_id).values_list("bytes", flat=True).first() or 0
    if used + size > settings.MEDIA_QUOTA_BYTES:
        raise over_quota()


def over_quota() -> Problem:
    limit = settings.MEDIA_QUOTA_BYTES
    return Problem("media_quota_exceeded", f"The organization keeps files of {limit} bytes.", limit=limit)


def head_of(key: str, size: int) -> bytes:
    """The first bytes of a file."""
    with default_storage.open(key, "rb") as file:
        return bytes(file.read(size))


def chunks(key: str) -> Iterator[bytes]:
    with default_storage.open(key, "rb") as file:
        while piece := file.read(CHUNK_BYTES):
            yield piece


@contextmanager
def workplace() -> Iterator[Path]:
    """A private folder on the storage's own disk that is gone afterwards."""
    settings.MEDIA_INCOMING_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)
    with TemporaryDirectory(dir=settings.MEDIA_INCOMING_DIR) as name:
        yield Path(name)


@contextmanager
def on_disk(key: str, folder: Path) -> Iterator[Path]:
    """The file as one on this machine's disk: itself, or a copy in ``folder``."""
    try:
        yield Path(default_storage.path(key))
        return
    except NotImplementedError:
        pass
    path = folder / "source"
    with open(path, "wb") as copy:
        for piece in chunks(key):
            copy.write(piece)
    yield path


def clear_incoming() -> None:
    """Delete what processes that died had been writing in MEDIA_INCOMING_DIR of this machine."""
    folder, oldest = settings.MEDIA_INCOMING_DIR, time.time() - UNCLAIMED.total_seconds()
    for path in folder.iterdir() if folder.exists() else ():
        try:
            if max(one.stat().st_mtime for one in (path, *path.rglob("*"))) > oldest:
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        except FileNotFoundError:  # its process was faster
            continue


def collect(most: int = 200) -> int:
    """Delete what nobody names any more, the file first; the number of files."""
    done = 0
    for row in Garbage.objects.filter(due_at__lte=timezone.now()).order_by("due_at")[:most]:
        default_storage.delete(row.file)
        done += Garbage.objects.filter(pk=row.pk).delete()[0]
    return done
