"""Parts of files, as players of video and sound ask for them (RFC 9110, section 14): one range of bytes at a time."""

from __future__ import annotations

import re
from typing import IO, NamedTuple

from config.api.problems import Problem

# So many digits name any file's bytes; what is longer is no range.
_ONE = re.compile(r"bytes=[ \t]*(?P<first>[0-9]{0,18})-(?P<last>[0-9]{0,18})[ \t]*", re.IGNORECASE)


class Range(NamedTuple):
    """The bytes from ``first`` to ``last``, which is one of them."""

    first: int
    last: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1


class Part:
    """A file that ends after so many bytes from where it stands."""

    def __init__(self, file: IO[bytes], length: int) -> None:
        self._file, self._left = file, length

    def read(self, size: int) -> bytes:
        piece = self._file.read(min(size, self._left))
        self._left -= len(piece)
        return piece

    def close(self) -> None:
        self._file.close()


def asked_for(header: str, size: int) -> Range | None:
    """The part of a file of ``size`` bytes that a Range header names; None for the whole, also if it names several.

    Raises Problem ``range_not_satisfiable`` for one that begins behind the file's end.
    """
    found = _ONE.fullmatch(header)
    if found is None or not (found["first"] or found["last"]):
        return None
    last = min(int(found["last"] or size), size - 1)
    if not found["first"]:
        last, first = size - 1, size - min(int(found["last"]), size)
    elif found["last"] and int(found["last"]) < int(found["first"]):
        return None
    else:
        first = int(found["first"])
    if first >= size:
        headers = {"Content-Range": f"bytes */{size}"}
        raise Problem("range_not_satisfiable", f"The file has {size} bytes.", headers=headers)
    return Range(first, last)
