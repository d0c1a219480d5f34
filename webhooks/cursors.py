"""Cursors: where a reader of an organization's log stands, as a text.

A cursor is a vector, the last sequence of each stream. Sequences have no gaps and their order is that of the
commits, so an event that commits late lies after the cursor of its stream, whatever else was read before it.
A cursor gives no right and holds no secret: what is read is what the reader may see, and streams that it may not
see are ignored. docs/decisions/0016 says why it is made so.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping

from config.api.problems import invalid

_VERSION = b"\x01"
_TAIL = 8  # bytes of a stream's UUID, the random ones
_DIGITS = 2 * _TAIL
_LONGEST = 9  # bytes of a sequence: 63 bits


def name(stream: str) -> str:
    """What a stream is called in positions, by its hex; names are their own names."""
    return stream[-_DIGITS:]


class Positions(Mapping[str, int]):
    """The last sequence that a reader has of each stream, looked up by the stream's hex; what is missing is 0."""

    def __init__(self, known: Mapping[str, int]) -> None:
        self._known = {name(stream): sequence for stream, sequence in known.items()}

    def __getitem__(self, stream: str) -> int:
        return self._known[name(stream)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


BEGINNING = Positions({})
"""Before the first event that is kept: nothing counts as skipped."""
LATEST = Positions({})
"""After the last event there is."""


def encode(positions: Mapping[str, int]) -> str:
    """The cursor of these positions, by the hex of their streams. Equal positions have equal cursors."""
    known = sorted((bytes.fromhex(name(stream)), last) for stream, last in positions.items() if last)
    body = _VERSION + b"".join(tail + _varint(last) for tail, last in known)
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()


def decode(text: str, pointer: str = "/after") -> Positions:
    """The positions of a cursor; of ``latest`` LATEST, of an empty text BEGINNING.

    Raises Problem ``invalid_request`` with the code ``invalid_cursor`` at the pointer for any other text.
    """
    if text in ("", "latest"):
        return LATEST if text else BEGINNING
    try:
        body = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        positions = Positions(dict(_entries(body)))
        if encode(positions) != text:
            raise ValueError("not as it was given")
    except (ValueError, IndexError) as error:
        raise invalid(pointer, "invalid_cursor", "Take the cursor from an answer, or latest.") from error
    return positions


def _entries(body: bytes) -> Iterator[tuple[str, int]]:
    """Raises IndexError for what is cut off, ValueError for a sequence that is too large."""
    place = len(_VERSION)
    while place < len(body):
        stream, start = body[place : place + _TAIL].hex(), place + _TAIL
        place = start
        while body[place] & 0x80:
            place += 1
        if place - start >= _LONGEST:
            raise ValueError("too large")
        yield stream, sum((byte & 0x7F) << 7 * number for number, byte in enumerate(body[start : place + 1]))
        place += 1


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; all bytes but the last have the eighth."""
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)
