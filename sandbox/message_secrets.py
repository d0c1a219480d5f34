"""What is encrypted once more, under the secret of the message it is about: poll votes, event responses.

Protocol facts
--------------
* A poll or event carries 32 random bytes, messageContextInfo.messageSecret.
* Key: HKDF(secret, info=ID | author | voter | use); AES-256-GCM with the additional data "ID\\0voter".  Author
  and voter are JIDs without device; phone numbers or LIDs, so a reader has to try both.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .crypto import hkdf
from .signal_protocol import SignalError
from .wire import Jid

POLL_VOTE, EVENT_RESPONSE = "Poll Vote", "Event Response"


def _cipher(secret: bytes, id_: str, author: Jid, voter: Jid, use: str) -> tuple[AESGCM, bytes]:
    info = f"{id_}{author.bare}{voter.bare}{use}".encode()
    return AESGCM(hkdf(secret, 32, info=info)), f"{id_}\0{voter.bare}".encode()


def encrypt(secret: bytes, id_: str, author: Jid, voter: Jid, use: str, plaintext: bytes) -> tuple[bytes, bytes]:
    """Ciphertext and IV."""
    cipher, additional = _cipher(secret, id_, author, voter, use)
    iv = os.urandom(12)
    return cipher.encrypt(iv, plaintext, additional), iv


def decrypt(
    secret: bytes, id_: str, authors: Iterable[Jid], voters: Iterable[Jid], use: str, payload: bytes, iv: bytes
) -> bytes:
    """Raises SignalError if no pair of an author and a voter fits."""
    for author, voter in itertools.product(authors, voters):
        cipher, additional = _cipher(secret, id_, author, voter, use)
        try:
            return cipher.decrypt(iv, payload, additional)
        except (InvalidTag, ValueError):
            continue
    raise SignalError(f"no key for what is about {id_}")


def option_hash(option: str) -> bytes:
    """How a vote names an option."""
    return hashlib.sha256(option.encode()).digest()
