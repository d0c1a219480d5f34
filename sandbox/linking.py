"""How a phone links a client: the cryptography of QR codes and pairing codes.

Linking by QR code
------------------
The client shows `https://wa.me/settings/linked_devices#REF,NOISE,IDENTITY,ADV,TYPE` (base64).
The phone signs the client's identity key with the account key and authenticates the result
with ADV, a secret that only the QR code carries: the server cannot forge it.

Linking by code
---------------
companion_hello   client -> phone: its ephemeral key, AES-CTR encrypted under
                  PBKDF2(code, salt, 2**17 rounds); the code itself goes through the user.
primary_hello     phone -> client: the same the other way round, and the account key.
companion_finish  client -> phone: AES-GCM(identity keys, random) under a key from the
                  ephemeral secret; both sides now derive the same ADV secret.
Either way ends in <pair-success> with an ADVSignedDeviceIdentityHMAC.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import time
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .crypto import KeyPair, hkdf
from .errors import QrInvalid, WrongCode
from .protos import ADVDeviceIdentity, ADVSignedDeviceIdentity, ADVSignedDeviceIdentityHMAC

ACCOUNT_SIGNATURE_PREFIX = b"\x06\x00"


@dataclass(frozen=True)
class QrCode:
    ref: str
    noise_key: bytes
    identity: bytes
    adv_secret: bytes

    @classmethod
    def parse(cls, text: str) -> QrCode:
        """Raises QrInvalid."""
        try:
            ref, *keys = text.rpartition("#")[2].split(",")
            noise, identity, adv = (base64.b64decode(k, validate=True) for k in keys[:3])
        except ValueError as e:
            raise QrInvalid("this is not the code of a client that waits to be linked") from e
        return cls(ref, noise, identity, adv)


def sign_device(account_key: KeyPair, device_identity: bytes, adv_secret: bytes, key_index: int) -> bytes:
    """The <device-identity> of <pair-success>."""
    details = ADVDeviceIdentity(rawID=1, timestamp=int(time.time()), keyIndex=key_index).SerializeToString()
    signed = ADVSignedDeviceIdentity(
        details=details,
        accountSignatureKey=account_key.public,
        accountSignature=account_key.sign(ACCOUNT_SIGNATURE_PREFIX + details + device_identity),
    ).SerializeToString()
    authenticated = ADVSignedDeviceIdentityHMAC(details=signed, HMAC=hmac.digest(adv_secret, signed, "sha256"))
    return bytes(authenticated.SerializeToString())


class CodePairing:
    """The phone's side of linking by code."""

    def __init__(self, account_key: KeyPair, ref: bytes, wrapped_companion_key: bytes) -> None:
        self.account_key, self.ref = account_key, ref
        self._wrapped, self._ephemeral = wrapped_companion_key, KeyPair.generate()
        self._companion_key = b""

    @staticmethod
    def _crypt(code: str, salt: bytes, iv: bytes, data: bytes) -> bytes:
        key = hashlib.pbkdf2_hmac("sha256", code.encode(), salt, 2 << 16, 32)
        return Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor().update(data)

    def enter(self, code: str) -> bytes:
        """The user types the code; returns the phone's wrapped ephemeral key.

        A wrong code is not noticed here: it decrypts to a wrong key, and `finish` fails.
        """
        code = code.replace("-", "").upper()
        w = self._wrapped
        self._companion_key = self._crypt(code, w[:32], w[32:48], w[48:80])
        salt, iv = os.urandom(32), os.urandom(16)
        return salt + iv + self._crypt(code, salt, iv, self._ephemeral.public)

    def finish(self, wrapped_bundle: bytes, companion_identity: bytes) -> bytes:
        """Returns the ADV secret; raises WrongCode."""
        try:
            shared = self._ephemeral.dh(self._companion_key)
        except ValueError as e:
            raise WrongCode("the client shows another code") from e
        salt, nonce, sealed = wrapped_bundle[:32], wrapped_bundle[32:44], wrapped_bundle[44:]
        key = hkdf(shared, 32, salt=salt, info=b"link_code_pairing_key_bundle_encryption_key")
        try:
            bundle = AESGCM(key).decrypt(nonce, sealed, None)
        except (InvalidTag, ValueError) as e:
            raise WrongCode("the client shows another code") from e
        if bundle[:64] != companion_identity + self.account_key.public:
            raise WrongCode("the keys in the client's bundle do not match")
        return hkdf(shared + self.account_key.dh(companion_identity) + bundle[64:96], 32, info=b"adv_secret")
