"""What the process is asked and what it answers: JSON over its standard input and output."""

from __future__ import annotations

from dataclasses import dataclass


class Refused(Exception):
    """The file cannot be made into what is asked. ``code`` is one of the codes in docs/media.md."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


@dataclass(frozen=True, slots=True)
class Job:
    """``mime_type`` is the one found by content; ``target`` is where a converted file is to be written."""

    kind: str
    mime_type: str
    source: str
    target: str
    most_sent: int  # bytes


@dataclass(slots=True)
class Made:
    """``converted`` says whether there is a target, else the source is sent as it is. ``thumbnail`` is JPEG."""

    mime_type: str
    converted: bool
    seconds: float | None = None
    width: int | None = None
    height: int | None = None
    thumbnail: bytes = b""
    waveform: bytes = b""
