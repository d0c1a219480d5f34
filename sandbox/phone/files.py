"""A phone's attachments: into the blob store, and out of it again with every check."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.attachments import DamagedAttachment, Sealed, copy, seal, unseal
from sandbox.contents import content_of, unwrapped
from sandbox.contents.kinds import KEY_INFO
from sandbox.media import Incoming, MediaStore
from sandbox.model import now
from sandbox.protos import Message


@dataclass(frozen=True)
class Stored:
    """An attachment in the blob store."""

    sealed: Sealed
    url: str
    direct_path: str

    def refer(self, part: Any) -> None:
        """Set the fields of a protobuf that point to it, as far as it has them."""
        sealed = self.sealed
        values: dict[str, Any] = {"URL": self.url, "directPath": self.direct_path, "fileSHA256": sealed.sha256}
        values |= {"fileLength": sealed.size, "mediaKeyTimestamp": now()}
        if sealed.media_key:
            values |= {"mediaKey": sealed.media_key, "fileEncSHA256": sealed.enc_sha256}
        for name, value in values.items():
            if name in part.DESCRIPTOR.fields_by_name:
                setattr(part, name, value)


def store(media: MediaStore, number: str, plaintext: Iterable[bytes], info: bytes | None) -> Stored:
    """Encrypt (without `info` not, as for newsletters) and upload in the name of an account."""
    incoming = Incoming(media)
    try:
        sealed = seal(plaintext, info, incoming.write) if info else copy(plaintext, incoming.write)
        token = base64.urlsafe_b64encode(incoming.sha256).decode()
        incoming.keep(token)
    finally:
        incoming.discard()
    return Stored(sealed, *media.location(token, number))


def _refers(serialized: bytes) -> tuple[bytes, Any] | None:
    """Key info and protobuf of a message's attachment."""
    name, part = content_of(unwrapped(Message.FromString(serialized)))
    return (KEY_INFO[name], part) if name in KEY_INFO else None


def direct_path(serialized: bytes) -> str | None:
    """Where a message's attachment is stored, None for a message without one."""
    found = _refers(serialized)
    return str(found[1].directPath) if found else None


def fetch(media: MediaStore, serialized: bytes, write: Callable[[bytes], object]) -> dict[str, Any] | None:
    """Download, decrypt and check: {"status": "ok", "size", "sha256"}, or with "missing" or "damaged" a "detail".

    None for a message without an attachment.  It reads files of any size; call it from a thread.
    """
    found = _refers(serialized)
    if found is None:
        return None
    info, part = found
    sealed = Sealed(part.mediaKey, part.fileSHA256, part.fileEncSHA256, part.fileLength)
    blob: Path = media.find(part.directPath)
    try:
        unseal(blob, sealed, info, write)
    except FileNotFoundError:
        return {"status": "missing", "detail": "the blob store does not have it"}
    except DamagedAttachment as e:
        return {"status": "damaged", "detail": str(e)}
    return {"status": "ok", "size": sealed.size, "sha256": sealed.sha256.hex()}
