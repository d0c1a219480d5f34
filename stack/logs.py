"""One log file per process, bounded in size."""

from __future__ import annotations

from pathlib import Path

LIMIT = 5 * 1024 * 1024


class BoundedLog:
    """Appends to `path`; a full file becomes ``NAME.log.1`` and the one before it is dropped."""

    def __init__(self, path: Path, limit: int = LIMIT) -> None:
        self.path, self._limit = path, limit
        self._open()

    def _open(self) -> None:
        self._file = self.path.open("ab", buffering=0)
        self._size = self._file.tell()

    def write(self, data: bytes) -> None:
        if self._size and self._size + len(data) > self._limit:
            self._file.close()
            self.path.replace(self.path.with_name(self.path.name + ".1"))
            self._open()
        self._file.write(data)
        self._size += len(data)

    def close(self) -> None:
        self._file.close()


def last_lines(path: Path, count: int) -> list[str]:
    """The last `count` lines of a log, none if there is no such file."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 16384))
            return file.read().decode(errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return []
