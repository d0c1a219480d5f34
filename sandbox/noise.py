"""The transport's handshake, server side: Noise XX and the certificate that the client expects.

Protocol facts
--------------
* Noise_XX_25519_AESGCM_SHA256, prologue = the 4 byte connection header ("WA", magic 6,
  dictionary version 3).  The three messages are HandshakeMessage protobufs.
* The server proves its static key with a two-link chain: root -> intermediate -> leaf.
  The root key is a constant in the client (see overlay.py), its serial number is 0.
* Handshake ciphertexts use the running hash as AAD; transport ciphertexts have no AAD.
  The nonce is a 32 bit big-endian counter in the last four of twelve bytes.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import DecodeError

from .crypto import KeyPair, hkdf
from .protos import CertChain, HandshakeMessage

CONNECTION_HEADER = b"WA\x06\x03"  # magic 6, token dictionary version 3
_PATTERN = b"Noise_XX_25519_AESGCM_SHA256\0\0\0\0"  # exactly 32 bytes: is its own hash


def _nonce(counter: int) -> bytes:
    return bytes(8) + counter.to_bytes(4, "big")


class NoiseError(Exception):
    """The peer does not speak the handshake, or a frame was not sealed with the agreed keys."""


def _parse(frame: bytes) -> Any:
    try:
        return HandshakeMessage.FromString(frame)
    except DecodeError as e:
        raise NoiseError("not a handshake message") from e


def _dh(ours: KeyPair, theirs: bytes) -> bytes:
    try:
        return ours.dh(theirs)
    except ValueError as e:
        raise NoiseError("not a public key") from e


@dataclass
class ServerIdentity:
    """Static Noise key of the server with a certificate chain up to a root of our own."""

    root: KeyPair
    static: KeyPair = field(default_factory=KeyPair.generate)

    def certificate(self) -> bytes:
        """Serialized chain root -> intermediate -> static key, valid for a year from now."""
        now, middle = int(time.time()), KeyPair.generate()
        chain = CertChain()

        def certify(link: Any, issuer: KeyPair, **details: Any) -> None:
            link.details = CertChain.NoiseCertificate.Details(
                notBefore=now - 86400, notAfter=now + 365 * 86400, **details
            ).SerializeToString()
            link.signature = issuer.sign(link.details)

        certify(chain.intermediate, self.root, serial=1, issuerSerial=0, key=middle.public)
        certify(chain.leaf, middle, serial=2, issuerSerial=1, key=self.static.public)
        return bytes(chain.SerializeToString())


class NoiseServer:
    """Responder of one handshake; afterwards `seal`/`open` carry the transport frames.

    `hello`, `finish` and `open` raise NoiseError for anything but the expected message.
    """

    def __init__(self, identity: ServerIdentity, certificate: bytes) -> None:
        self._identity, self._certificate = identity, certificate
        self._ephemeral = KeyPair.generate()
        self._hash = self._salt = _PATTERN
        self._cipher, self._counter = AESGCM(_PATTERN), 0
        self._recv_count = self._send_count = 0
        self._mix_hash(CONNECTION_HEADER)

    def _mix_hash(self, data: bytes) -> None:
        self._hash = hashlib.sha256(self._hash + data).digest()

    def _mix_key(self, secret: bytes) -> None:
        okm = hkdf(secret, 64, salt=self._salt)
        self._salt, self._cipher, self._counter = okm[:32], AESGCM(okm[32:]), 0

    def _encrypt(self, plaintext: bytes) -> bytes:
        out = self._cipher.encrypt(_nonce(self._counter), plaintext, self._hash)
        self._counter += 1
        self._mix_hash(out)
        return out

    def _decrypt(self, ciphertext: bytes) -> bytes:
        try:
            out = self._cipher.decrypt(_nonce(self._counter), ciphertext, self._hash)
        except (InvalidTag, ValueError) as e:
            raise NoiseError("handshake not sealed with the agreed keys") from e
        self._counter += 1
        self._mix_hash(ciphertext)
        return out

    def hello(self, frame: bytes) -> bytes:
        """ClientHello -> ServerHello (messages 1 and 2 of the pattern)."""
        client_ephemeral = _parse(frame).clientHello.ephemeral
        self._mix_hash(client_ephemeral)
        self._mix_hash(self._ephemeral.public)
        self._mix_key(_dh(self._ephemeral, client_ephemeral))
        static = self._encrypt(self._identity.static.public)
        self._mix_key(_dh(self._identity.static, client_ephemeral))
        reply = HandshakeMessage()
        reply.serverHello.ephemeral = self._ephemeral.public
        reply.serverHello.static = static
        reply.serverHello.payload = self._encrypt(self._certificate)
        return bytes(reply.SerializeToString())

    def finish(self, frame: bytes) -> tuple[bytes, bytes]:
        """ClientFinish -> (client's static key, serialized ClientPayload)."""
        msg = _parse(frame).clientFinish
        client_static = self._decrypt(msg.static)
        self._mix_key(_dh(self._ephemeral, client_static))
        payload = self._decrypt(msg.payload)
        okm = hkdf(b"", 64, salt=self._salt)
        self._recv, self._send = AESGCM(okm[:32]), AESGCM(okm[32:])
        return client_static, payload

    def seal(self, plaintext: bytes) -> bytes:
        out = self._send.encrypt(_nonce(self._send_count), plaintext, None)
        self._send_count += 1
        return out

    def open(self, ciphertext: bytes) -> bytes:
        try:
            out = self._recv.decrypt(_nonce(self._recv_count), ciphertext, None)
        except (InvalidTag, ValueError) as e:
            raise NoiseError("frame not sealed with the agreed keys") from e
        self._recv_count += 1
        return out
