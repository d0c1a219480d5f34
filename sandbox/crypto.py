"""Keys of WhatsApp: X25519 pairs, XEdDSA signatures, HKDF.

All long-term keys are X25519 keys.  Signatures over them are XEdDSA: the Montgomery public key is
mapped to an Edwards point and an Ed25519 signature is verified.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

# --- X25519 ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class KeyPair:
    private: bytes
    public: bytes

    @classmethod
    def generate(cls) -> KeyPair:
        return cls.from_private(os.urandom(32))

    @classmethod
    def from_private(cls, private: bytes) -> KeyPair:
        key = X25519PrivateKey.from_private_bytes(private)
        return cls(private, key.public_key().public_bytes_raw())

    def dh(self, public: bytes) -> bytes:
        """The shared secret; raises ValueError for a key that is none or of low order."""
        key = X25519PrivateKey.from_private_bytes(self.private)
        return key.exchange(X25519PublicKey.from_public_bytes(public))

    def sign(self, message: bytes) -> bytes:
        return xeddsa_sign(self.private, message)


def hkdf(ikm: bytes, length: int, salt: bytes = b"", info: bytes = b"") -> bytes:
    """RFC 5869 with SHA-256; unlike `cryptography`'s HKDF it accepts an empty input key."""
    prk = hmac.digest(salt or bytes(32), ikm, "sha256")
    out = block = b""
    for i in range(1, -(-length // 32) + 1):
        block = hmac.digest(prk, block + info + bytes([i]), "sha256")
        out += block
    return out[:length]


# --- XEdDSA (https://signal.org/docs/specifications/xeddsa/) ---------------------------------
# Plain integers, a few milliseconds a signature: it is used at pairing time only.

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_BASE = (
    15112221349535400772501151409588531511454012693041857206046113283949847762202,
    46316835694926478169428394003475163141307993866256225615783033603165251855960,
)


_Point = tuple[int, int, int, int]  # extended coordinates (X, Y, Z, T)


def _add(p: _Point, q: _Point) -> _Point:
    a = (p[1] - p[0]) * (q[1] - q[0]) % _P
    b = (p[1] + p[0]) * (q[1] + q[0]) % _P
    c = 2 * p[3] * q[3] * _D % _P
    d = 2 * p[2] * q[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


@lru_cache(1)
def _powers() -> list[_Point]:
    x, y = _BASE
    point: _Point = (x, y, 1, x * y % _P)
    table = []
    for _ in range(256):
        table.append(point)
        point = _add(point, point)
    return table


def _base_mult(scalar: int) -> bytes:
    """Compressed Edwards encoding of scalar * B."""
    acc: _Point = (0, 1, 1, 0)
    for i, point in enumerate(_powers()):
        if scalar >> i & 1:
            acc = _add(acc, point)
    inv = pow(acc[2], -1, _P)
    x, y = acc[0] * inv % _P, acc[1] * inv % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _hash_int(*parts: bytes) -> int:
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % _L


def xeddsa_sign(private: bytes, message: bytes) -> bytes:
    """Signature (64 bytes) that verifies against the X25519 public key of `private`."""
    k = int.from_bytes(private, "little") & ((1 << 254) - 8) | 1 << 254
    public = _base_mult(k)
    a = k
    if public[31] & 0x80:  # the verifier assumes a zero sign bit, so use -k
        a, public = _L - k % _L, public[:31] + bytes([public[31] & 0x7F])
    a %= _L
    nonce = _hash_int(b"\xfe" + b"\xff" * 31, a.to_bytes(32, "little"), message, os.urandom(64))
    big_r = _base_mult(nonce)
    s = (nonce + _hash_int(big_r, public, message) * a) % _L
    return big_r + s.to_bytes(32, "little")
