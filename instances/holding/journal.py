"""A file on disk of what a number was told and the database does not have yet, so that no kill loses it.

What WhatsApp was told that we have, it does not repeat. So the library's callback appends each such event here, as it
came, and returns; the writer commits it a moment later. A record is in the page cache when ``append`` returns: it
survives the end of the process, not that of the machine (docs/decisions/0014-journal.md).

A file belongs to one holding: ``{instance}.{epoch}.journal`` beside the session store, readable by this user alone.
Whoever holds its lock (flock) owns it; the lock ends with the process, and what is left is replayed by another one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import structlog
from django.conf import settings

log = structlog.get_logger(__name__)
SUFFIX = ".journal"
_HEADER = struct.Struct("<2sBxII")  # mark, event code, bytes that follow, their CRC-32
_MARK = b"J1"


class Entry(NamedTuple):
    """An event as the library reported it."""

    code: int
    raw: bytes


class Journal:
    """The file of one holding. One thread appends, any settles, one forgets and ends."""

    def __init__(self, instance_id: str, epoch: int) -> None:
        folder = Path(settings.SESSION_STORE_DIR)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = folder / f"{instance_id}.{epoch}{SUFFIX}"
        self._appending, self._settling = threading.Lock(), threading.Lock()
        self._size = self._appended = self._settled = 0
        self._full = False
        self._fd = _open_locked(self._path)

    def append(self, code: int, raw: bytes) -> bool:
        """Keep an event until it is settled. False, and nothing is kept, when the disk does not take it."""
        record = _HEADER.pack(_MARK, code, len(raw), zlib.crc32(raw)) + raw
        with self._appending:
            try:
                written = os.write(self._fd, record)
                if written < len(record):
                    os.ftruncate(self._fd, self._size)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError as error:
                if not self._full:
                    log.error("journal_not_written", path=self._path.name, error=str(error))
                self._full = True
                return False
            self._full = False
            self._size += written
            self._appended += 1
            return True

    def settle(self) -> None:
        """One of the kept events is committed, or never will be."""
        with self._settling:
            self._settled += 1

    @property
    def size(self) -> int:
        """Bytes in the file, settled or not."""
        return self._size

    def forget(self) -> None:
        """Empty the file if all is settled. For a quiet moment, since an append would wait for it."""
        with self._appending:
            if self._settled == self._appended and self._size:
                os.ftruncate(self._fd, 0)
                self._size = 0

    def end(self) -> None:
        """Close the file, and remove it if all is settled; else it is there for whoever replays it."""
        if self._settled == self._appended:
            self._path.unlink(missing_ok=True)
        os.close(self._fd)


class Left:
    """What a holding left behind, ours alone until `close`; use it as a context manager."""

    def __init__(self, path: Path, fd: int) -> None:
        self.instance_id, self._path, self._fd = path.name.partition(".")[0], path, fd

    @classmethod
    def take(cls, path: Path) -> Left | None:
        """None when the file is gone, or its holding lives."""
        try:
            fd = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        if not _is(path, fd):
            os.close(fd)
            return None
        return cls(path, fd)

    def __enter__(self) -> Left:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._fd)

    def entries(self) -> Iterator[Entry]:
        """In the order they came, up to a record that was torn by the end of the machine."""
        with open(self._fd, "rb", closefd=False) as file:
            file.seek(0)
            yield from _entries(file, self._path.name)

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)


def left_behind(instance_id: str = "") -> list[Path]:
    """The journals on this disk, oldest holding first; those of living holdings too."""
    found = Path(settings.SESSION_STORE_DIR).glob(f"{instance_id or '*'}.*{SUFFIX}")
    return sorted(found, key=lambda path: (len(path.name), path.name))


def _open_locked(path: Path) -> int:
    while True:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if _is(path, fd):
            return fd
        os.close(fd)  # somebody looked at the new file, found it empty and removed it


def _is(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(fd))
    except FileNotFoundError:
        return False


def _entries(file: BinaryIO, name: str) -> Iterator[Entry]:
    while header := file.read(_HEADER.size):
        if len(header) == _HEADER.size:
            mark, code, length, checksum = _HEADER.unpack(header)
            raw = file.read(length) if mark == _MARK else b""
            if mark == _MARK and len(raw) == length and zlib.crc32(raw) == checksum:
                yield Entry(code, raw)
                continue
        log.error("journal_torn", path=name, at=file.tell())
        return
