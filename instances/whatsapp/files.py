"""A file on WhatsApp's media servers. Free of the client library, so everybody may import it."""

from __future__ import annotations

from dataclasses import dataclass


class NotSendable(Exception):
    """A message that cannot be sent as it is; nothing has left. ``code`` and ``detail`` are for its row."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail = code, detail


@dataclass(frozen=True, slots=True)
class Place:
    """Where WhatsApp's media servers keep a file that was uploaded; the keys are empty for channels."""

    url: str
    direct_path: str
    media_key: bytes
    file_sha256: bytes
    file_enc_sha256: bytes
    file_length: int


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """What a message says of its file: where it lies, how it is encrypted, what it looks like."""

    url: str
    direct_path: str
    media_key: bytes  # empty for channels, which take files unencrypted
    file_sha256: bytes
    file_enc_sha256: bytes
    file_length: int
    mime_type: str
    filename: str = ""
    seconds: float | None = None
    width: int | None = None
    height: int | None = None
    thumbnail: bytes = b""  # JPEG
    waveform: bytes = b""  # 64 values from 0 to 100


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """What a received message says of its file: enough to download it, nothing of it is believed before that."""

    kind: str  # a media.models.Kind
    direct_path: str
    media_key: bytes  # empty in channels, whose files are not encrypted
    file_sha256: bytes
    file_enc_sha256: bytes  # empty in channels
    size: int  # bytes
    mime_type: str = ""
    filename: str = ""
