"""How received files are encrypted, as a stream: pieces go in as WhatsApp keeps them and come out as they were.

HKDF-SHA256 makes an IV, a cipher's key and a MAC's key of the message's media key. The file is AES-256-CBC, and after
it the first ten bytes of HMAC-SHA256 over IV and ciphertext. Files of channels are not encrypted.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Protocol

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.padding import PKCS7

from instances.whatsapp.files import RemoteFile

_MAC, _BLOCK = 10, 16  # bytes
_SERVED_AS = {
    "image": "image",
    "sticker": "image",
    "video": "video",
    "gif": "video",
    "round": "video",
    "audio": "audio",
    "voice": "audio",
    "document": "document",
}
Sink = Callable[[bytes], object]


class Unreadable(Exception):
    """What came is not what the message says. Nothing that was handed over may be believed."""


class Unsealing(Protocol):
    size: int  # bytes handed over so far

    def write(self, piece: bytes) -> None:
        """Take what comes next, and hand over what of the file is known by it."""

    def finish(self) -> None:
        """All has come. Raises Unreadable unless every hash is as the message says."""


def served_as(kind: str) -> str:
    """The type that WhatsApp's media servers know a media.models.Kind by."""
    return _SERVED_AS[kind]


def sealed_size(remote: RemoteFile, size: int) -> int:
    """How many bytes WhatsApp keeps of a file with ``size`` bytes."""
    return size - size % _BLOCK + _BLOCK + _MAC if remote.media_key else size


def unsealing(remote: RemoteFile, sink: Sink) -> Unsealing:
    """Raises Unreadable if the message lacks a key or a hash."""
    keys = (remote.media_key, remote.file_enc_sha256, remote.file_sha256)
    if len(remote.file_sha256) != 32 or (remote.media_key and any(len(key) != 32 for key in keys)):
        raise Unreadable("the message lacks a key or a hash")
    return _Encrypted(remote, sink) if remote.media_key else _Plain(remote, sink)


class _Plain:
    def __init__(self, remote: RemoteFile, sink: Sink) -> None:
        self.size = 0
        self._remote, self._sink, self._hash = remote, sink, hashlib.sha256()

    def write(self, piece: bytes) -> None:
        self.size += len(piece)
        self._hash.update(piece)
        self._sink(piece)

    def finish(self) -> None:
        if not hmac.compare_digest(self._hash.digest(), self._remote.file_sha256):
            raise Unreadable("the SHA-256 of the file is another one")


class _Encrypted(_Plain):
    def __init__(self, remote: RemoteFile, sink: Sink) -> None:
        super().__init__(remote, sink)
        info = f"WhatsApp {served_as(remote.kind).capitalize()} Keys".encode()
        keys = HKDF(algorithm=SHA256(), length=112, salt=None, info=info).derive(remote.media_key)
        iv, cipher_key, mac_key = keys[:16], keys[16:48], keys[48:80]
        self._decryptor = Cipher(algorithms.AES(cipher_key), modes.CBC(iv)).decryptor()
        self._unpadder = PKCS7(8 * _BLOCK).unpadder()
        self._sealed_hash, self._mac, self._tail = hashlib.sha256(), hmac.new(mac_key, iv, "sha256"), b""

    def write(self, piece: bytes) -> None:
        self._sealed_hash.update(piece)
        known = self._tail + piece
        self._tail, ciphertext = known[-_MAC:], known[:-_MAC]
        self._mac.update(ciphertext)
        super().write(self._unpadder.update(self._decryptor.update(ciphertext)))

    def finish(self) -> None:
        if not hmac.compare_digest(self._sealed_hash.digest(), self._remote.file_enc_sha256):
            raise Unreadable("the SHA-256 of the encrypted file is another one")
        if not hmac.compare_digest(self._mac.digest()[:_MAC], self._tail):
            raise Unreadable("the MAC is another one")
        try:
            self._decryptor.finalize()
            rest = self._unpadder.finalize()
        except ValueError as error:
            raise Unreadable("the ciphertext does not end as one") from error
        super().write(rest)
        super().finish()
