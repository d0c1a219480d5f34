"""How attachments are encrypted, streamed: a file of any size passes in pieces.

Protocol facts
--------------
* HKDF(media key, info by kind, 112) -> IV, AES-CBC key, MAC key, and 32 bytes that nobody uses here.
* The blob is the ciphertext and the first 10 bytes of HMAC(IV | ciphertext); its SHA-256 names it at the store.
* Attachments of newsletters are stored as they are: there is no key, and no hash of a ciphertext.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from .crypto import hkdf

PIECE = 1 << 18  # bytes
_MAC = 10  # bytes
HISTORY_INFO = b"WhatsApp History Keys"
LINK_THUMBNAIL_INFO = b"WhatsApp Link Thumbnail Keys"


class DamagedAttachment(Exception):
    """Hashes, MAC or length do not match what the message says."""


@dataclass(frozen=True)
class Sealed:
    """An attachment as the store has it, and what its receivers need."""

    media_key: bytes  # empty if it is not encrypted
    sha256: bytes
    enc_sha256: bytes  # empty if it is not encrypted
    size: int  # of the plaintext


def pieces_of(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(PIECE):
        yield piece


def random_pieces(size: int) -> Iterator[bytes]:
    while size > 0:
        yield os.urandom(min(size, PIECE))
        size -= PIECE


def _keys(media_key: bytes, info: bytes) -> tuple[bytes, bytes, bytes]:
    okm = hkdf(media_key, 112, info=info)
    return okm[:16], okm[16:48], okm[48:80]


def seal(plaintext: Iterable[bytes], info: bytes, write: Callable[[bytes], object]) -> Sealed:
    """Encrypt under a new key."""
    media_key = os.urandom(32)
    iv, cipher_key, mac_key = _keys(media_key, info)
    encryptor = Cipher(algorithms.AES(cipher_key), modes.CBC(iv)).encryptor()
    plain_hash, blob_hash, mac = hashlib.sha256(), hashlib.sha256(), hmac.new(mac_key, iv, "sha256")
    size, rest = 0, b""

    def put(ciphertext: bytes) -> None:
        blob_hash.update(ciphertext)
        mac.update(ciphertext)
        write(ciphertext)

    for piece in plaintext:
        plain_hash.update(piece)
        size += len(piece)
        whole = rest + piece
        cut = len(whole) - len(whole) % 16
        rest = whole[cut:]
        put(encryptor.update(whole[:cut]))
    fill = 16 - len(rest)
    put(encryptor.update(rest + bytes([fill]) * fill))
    tail = mac.digest()[:_MAC]
    blob_hash.update(tail)
    write(tail)
    return Sealed(media_key, plain_hash.digest(), blob_hash.digest(), size)


def copy(plaintext: Iterable[bytes], write: Callable[[bytes], object]) -> Sealed:
    """Leave it as it is."""
    plain_hash, size = hashlib.sha256(), 0
    for piece in plaintext:
        plain_hash.update(piece)
        size += len(piece)
        write(piece)
    return Sealed(b"", plain_hash.digest(), b"", size)


def unseal(blob: Path, sealed: Sealed, info: bytes, write: Callable[[bytes], object]) -> None:
    """Decrypt a blob and check all that can be checked.

    Raises FileNotFoundError, and DamagedAttachment, possibly after some of it has been written.
    """
    with open(blob, "rb") as file:
        if sealed.media_key:
            plain_hash, size = _unseal_encrypted(file, blob.stat().st_size, sealed, info, write)
        else:
            found = copy(pieces_of(file), write)
            plain_hash, size = found.sha256, found.size
    if plain_hash != sealed.sha256:
        raise DamagedAttachment("the SHA-256 of the file is another one")
    if size != sealed.size:
        raise DamagedAttachment(f"the file has {size} bytes, not {sealed.size}")


def _unseal_encrypted(
    file: BinaryIO, blob_size: int, sealed: Sealed, info: bytes, write: Callable[[bytes], object]
) -> tuple[bytes, int]:
    iv, cipher_key, mac_key = _keys(sealed.media_key, info)
    decryptor = Cipher(algorithms.AES(cipher_key), modes.CBC(iv)).decryptor()
    plain_hash, blob_hash, mac = hashlib.sha256(), hashlib.sha256(), hmac.new(mac_key, iv, "sha256")
    left, size, held = blob_size - _MAC, 0, b""
    if left <= 0 or left % 16:
        raise DamagedAttachment("the blob is no ciphertext")
    while left:
        ciphertext = file.read(min(left, PIECE))
        left -= len(ciphertext)
        blob_hash.update(ciphertext)
        mac.update(ciphertext)
        # The last block holds the padding, so it waits until the end is known.
        plain = held + decryptor.update(ciphertext)
        held = plain[-16:]
        ready = plain[:-16]
        plain_hash.update(ready)
        size += len(ready)
        write(ready)
    tail = file.read()
    blob_hash.update(tail)
    if blob_hash.digest() != sealed.enc_sha256:
        raise DamagedAttachment("the SHA-256 of the blob is another one")
    if not hmac.compare_digest(tail, mac.digest()[:_MAC]):
        raise DamagedAttachment("the MAC does not match")
    if not 1 <= held[-1] <= 16:
        raise DamagedAttachment("bad padding")
    last = held[: -held[-1]]
    plain_hash.update(last)
    write(last)
    return plain_hash.digest(), size + len(last)
