"""The Signal protocol for simulated phones: X3DH, double ratchet, sender keys.

It speaks the wire format of libsignal as WhatsApp uses it, with the real clients as its peers.
It trusts every key and checks MACs but no signatures.  Whatever a peer sends, the only exception is SignalError.
The dataclasses here are also the stored form (see state.py): fields may be added with defaults only.

Protocol facts
--------------
* Public keys on the wire have a 0x05 prefix (33 bytes).  Messages start with the byte "3".
* X3DH: HKDF(0xFF * 32 | DH.. , info="WhisperText") -> root key, chain key.
* Ratchet step: HKDF(DH(theirs, ours), salt=root, info="WhisperRatchet") -> root key, chain key.
* Chain: seed = HMAC(chain, 1), next = HMAC(chain, 2);
  HKDF(seed, info="WhisperMessageKeys") -> AES-CBC key, MAC key, IV.
* SignalMessage ("msg"): "3" | protobuf | first 8 bytes of HMAC(sender id | receiver id | all that).
  PreKeySignalMessage ("pkmsg"): "3" | protobuf with the sender's keys and a SignalMessage.
* Sender key message ("skmsg"): HKDF(seed, info="WhisperGroup") -> IV, AES-CBC key;
  "3" | protobuf | XEdDSA signature.  The key itself travels in a pairwise message (SKDM).
* WhatsApp pads each plaintext with 1 to 16 bytes that hold their own count.
"""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from .crypto import KeyPair, hkdf

_VERSION = b"3"
_MAX_SKIP = 2000  # messages that may be missing before one; also how many seeds are kept for them
_MAX_SESSIONS = 40  # with one address
_MAX_CHAINS = 5  # receiving chains of a session


class SignalError(Exception):
    """The message cannot be decrypted or is malformed."""


class OldCounter(SignalError):
    """The message was decrypted before."""


# --- protobuf, as much as five small messages need --------------------------------------------


def _varint(n: int) -> bytes:
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def _pack(fields: Mapping[int, int | bytes]) -> bytes:
    out = bytearray()
    for number, value in fields.items():
        if isinstance(value, int):
            out += _varint(number << 3) + _varint(value)
        else:
            out += _varint(number << 3 | 2) + _varint(len(value)) + value
    return bytes(out)


class _Fields:
    """A parsed message: numbers and byte strings by field number."""

    def __init__(self, data: bytes) -> None:
        self._data, self._pos = data, 0
        self._numbers: dict[int, int] = {}
        self._blobs: dict[int, bytes] = {}
        while self._pos < len(data):
            tag, value = self._varint(), self._varint()
            if tag & 7 == 0:
                self._numbers[tag >> 3] = value
            elif tag & 7 == 2 and self._pos + value <= len(data):
                self._blobs[tag >> 3] = data[self._pos : self._pos + value]
                self._pos += value
            else:
                raise SignalError("malformed message")

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 64, 7):
            if self._pos >= len(self._data):
                break
            byte = self._data[self._pos]
            self._pos += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise SignalError("malformed message")

    def number(self, field_number: int) -> int:
        """Zero if absent, as protobuf has it."""
        return self._numbers.get(field_number, 0)

    def blob(self, field_number: int) -> bytes:
        try:
            return self._blobs[field_number]
        except KeyError:
            raise SignalError(f"field {field_number} is missing") from None

    def key(self, field_number: int) -> bytes:
        """A public key without its prefix."""
        blob = self.blob(field_number)
        if len(blob) != 33 or blob[0] != 5:
            raise SignalError("not a public key")
        return blob[1:]


def _body(message: bytes, trailer: int) -> bytes:
    """What lies between the version byte and a MAC or signature of `trailer` bytes."""
    if len(message) <= trailer or message[:1] != _VERSION:
        raise SignalError("unknown message version")
    return message[1 : len(message) - trailer]


def _dh(ours: KeyPair, theirs: bytes) -> bytes:
    try:
        return ours.dh(theirs)
    except ValueError as e:
        raise SignalError("not a public key") from e


# --- primitives -----------------------------------------------------------------------------


def point(public: bytes) -> bytes:
    return b"\x05" + public


def aes_cbc(key: bytes, iv: bytes, data: bytes, decrypt: bool = False) -> bytes:
    """AES-CBC with PKCS#7 padding."""
    cipher = Cipher(algorithms.AES(key), modes.CBC(iv))
    if decrypt:
        if not data or len(data) % 16:
            raise SignalError("not whole blocks")
        out = cipher.decryptor().update(data)
        return unpad(out)
    fill = 16 - len(data) % 16
    return cipher.encryptor().update(data + bytes([fill]) * fill)


def pad(data: bytes) -> bytes:
    count = 1 + secrets.randbelow(16)
    return data + bytes([count]) * count


def unpad(data: bytes) -> bytes:
    if not data or not 1 <= data[-1] <= min(16, len(data)):
        raise SignalError("bad padding")
    return data[: -data[-1]]


@dataclass
class Chain:
    key: bytes
    index: int = 0

    def step(self) -> bytes:
        """The seed of the current message; moves on to the next."""
        seed = hmac.digest(self.key, b"\x01", "sha256")
        self.key, self.index = hmac.digest(self.key, b"\x02", "sha256"), self.index + 1
        return seed


Skipped = dict[tuple[bytes, int], bytes]  # (ratchet key, counter) -> seed


def _seed_at(chain: Chain, skipped: Skipped, label: bytes, counter: int) -> bytes:
    """The seed of message `counter`, remembering those of messages that are still to come."""
    if counter < chain.index:
        try:
            return skipped.pop((label, counter))
        except KeyError:
            raise OldCounter(f"old counter {counter}, at {chain.index}") from None
    if counter - chain.index > _MAX_SKIP:
        raise SignalError("too far in the future")
    while chain.index < counter:
        index = chain.index
        skipped[label, index] = chain.step()
    while len(skipped) > _MAX_SKIP:
        del skipped[next(iter(skipped))]
    return chain.step()


# --- pairwise sessions ------------------------------------------------------------------------


@dataclass
class SignalSession:
    """The double ratchet with one device."""

    local_identity: bytes  # public keys of both sides
    remote_identity: bytes
    root: bytes
    ratchet: KeyPair  # our current ratchet key
    sending: Chain
    receiving: dict[bytes, Chain] = field(default_factory=dict)  # by their ratchet key
    skipped: Skipped = field(default_factory=dict)
    previous: int = 0
    base_key: bytes = b""  # identifies the session: the initiator's base key
    pending: dict[int, int | bytes] | None = None  # PreKeySignalMessage fields until the peer has answered

    def copy(self) -> SignalSession:
        """Decryption changes the state, also when it fails: try it on a copy."""
        chains = {key: replace(chain) for key, chain in list(self.receiving.items())[-_MAX_CHAINS:]}
        return replace(self, sending=replace(self.sending), receiving=chains, skipped=dict(self.skipped))

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        counter = self.sending.index
        keys = hkdf(self.sending.step(), 80, info=b"WhisperMessageKeys")
        body = aes_cbc(keys[:32], keys[64:], plaintext)
        message = _VERSION + _pack({1: point(self.ratchet.public), 2: counter, 3: self.previous, 4: body})
        message += self._mac(keys[32:64], self.local_identity, self.remote_identity, message)
        if self.pending is None:
            return "msg", message
        return "pkmsg", _VERSION + _pack({**self.pending, 4: message})

    def decrypt(self, message: bytes) -> bytes:
        fields = _Fields(_body(message, trailer=8))
        their_key = fields.key(1)
        if their_key not in self.receiving:
            self._turn(their_key)
        seed = _seed_at(self.receiving[their_key], self.skipped, their_key, fields.number(2))
        keys = hkdf(seed, 80, info=b"WhisperMessageKeys")
        expected = self._mac(keys[32:64], self.remote_identity, self.local_identity, message[:-8])
        if not hmac.compare_digest(message[-8:], expected):
            raise SignalError("bad MAC")
        self.pending = None
        return aes_cbc(keys[:32], keys[64:], fields.blob(4), decrypt=True)

    def _turn(self, their_key: bytes) -> None:
        """They have a new ratchet key: derive their chain, then a new one of ours."""
        self.root, chain = _ratchet(self.root, _dh(self.ratchet, their_key))
        self.receiving[their_key] = chain
        self.ratchet, self.previous = KeyPair.generate(), max(self.sending.index - 1, 0)
        self.root, self.sending = _ratchet(self.root, _dh(self.ratchet, their_key))

    @staticmethod
    def _mac(key: bytes, sender: bytes, receiver: bytes, message: bytes) -> bytes:
        return hmac.digest(key, point(sender) + point(receiver) + message, "sha256")[:8]


def _ratchet(root: bytes, secret: bytes) -> tuple[bytes, Chain]:
    okm = hkdf(secret, 64, salt=root, info=b"WhisperRatchet")
    return okm[:32], Chain(okm[32:])


def _agree(secrets: Iterable[bytes]) -> tuple[bytes, Chain]:
    okm = hkdf(b"\xff" * 32 + b"".join(secrets), 64, info=b"WhisperText")
    return okm[:32], Chain(okm[32:])


@dataclass(frozen=True)
class Bundle:
    """What the directory hands out about a device."""

    registration: int
    identity: bytes
    signed_prekey: tuple[int, bytes]
    prekey: tuple[int, bytes] | None


# --- sender keys ------------------------------------------------------------------------------


@dataclass
class SenderKey:
    """The chain with which one device writes to one group."""

    id: int
    chain: Chain
    signing: KeyPair | None = None  # ours
    skipped: Skipped = field(default_factory=dict)

    def send(self, plaintext: bytes) -> tuple[bytes, bytes]:
        """The key's distribution message, as of this message, and the message."""
        assert self.signing is not None, "a peer's sender key"
        fields: dict[int, int | bytes] = {1: self.id, 2: self.chain.index, 3: self.chain.key}
        fields[4] = point(self.signing.public)
        iteration = self.chain.index
        keys = hkdf(self.chain.step(), 48, info=b"WhisperGroup")
        body = _VERSION + _pack({1: self.id, 2: iteration, 3: aes_cbc(keys[16:], keys[:16], plaintext)})
        return _VERSION + _pack(fields), body + self.signing.sign(body)

    def receive(self, message: bytes) -> bytes:
        fields = _Fields(_body(message, trailer=64))
        keys = hkdf(_seed_at(self.chain, self.skipped, b"", fields.number(2)), 48, info=b"WhisperGroup")
        return aes_cbc(keys[16:], keys[:16], fields.blob(3), decrypt=True)


Address = Hashable  # whatever names a device
Group = Hashable


class SignalStore:
    """All of one device's keys and sessions."""

    def __init__(
        self, identity: KeyPair, signed_prekey: KeyPair, registration: int, signature: bytes | None = None
    ) -> None:
        self.identity, self.signed_prekey, self.registration = identity, signed_prekey, registration  # prekey id 1
        self.signature = signature or identity.sign(point(signed_prekey.public))
        self.sessions: dict[Address, list[SignalSession]] = {}  # the current one first
        self.own_sender_keys: dict[Group, SenderKey] = {}
        self.sender_keys: dict[tuple[Group, Address, int], SenderKey] = {}

    @classmethod
    def generate(cls, identity: KeyPair) -> SignalStore:
        return cls(identity, KeyPair.generate(), 1 + secrets.randbelow(16379))

    # One-time prekeys are optional in X3DH; simulated phones do without.

    def start(self, address: Address, bundle: Bundle) -> None:
        """A session towards a device, from its prekey bundle."""
        base, ratchet = KeyPair.generate(), KeyPair.generate()
        spk_id, spk = bundle.signed_prekey
        secrets = [_dh(self.identity, spk), _dh(base, bundle.identity), _dh(base, spk)]
        pending: dict[int, int | bytes] = {5: self.registration}
        if bundle.prekey:
            pending[1] = bundle.prekey[0]
            secrets.append(_dh(base, bundle.prekey[1]))
        pending |= {6: spk_id, 2: point(base.public), 3: point(self.identity.public)}
        root, their_chain = _agree(secrets)
        root, chain = _ratchet(root, _dh(ratchet, spk))
        session = SignalSession(self.identity.public, bundle.identity, root, ratchet, chain, {spk: their_chain})
        session.base_key, session.pending = base.public, pending
        self._use(address, session)

    def _use(self, address: Address, session: SignalSession, instead_of: SignalSession | None = None) -> None:
        """Make a session the current one of an address."""
        others = [s for s in self.sessions.get(address, ()) if s is not instead_of]
        self.sessions[address] = [session, *others[: _MAX_SESSIONS - 1]]

    def encrypt(self, address: Address, plaintext: bytes) -> tuple[str, bytes]:
        """Type ("msg" or "pkmsg") and ciphertext; there must be a session with the address."""
        return self.sessions[address][0].encrypt(plaintext)

    def decrypt(self, address: Address, kind: str, message: bytes) -> bytes:
        """Plaintext of a "msg" or "pkmsg".  A message that fails changes nothing."""
        known = self.sessions.get(address, [])
        sessions = list(known)
        if kind == "pkmsg":
            fields = _Fields(_body(message, trailer=0))
            base, identity, message = fields.key(2), fields.key(3), fields.blob(4)
            if all(s.base_key != base for s in known):
                mine = self.signed_prekey
                root, chain = _agree([_dh(mine, identity), _dh(self.identity, base), _dh(mine, base)])
                sessions.insert(0, SignalSession(self.identity.public, identity, root, mine, chain, base_key=base))
        error = SignalError(f"no session with {address}")
        for session in sessions:
            attempt = session.copy()
            try:
                plaintext = attempt.decrypt(message)
            except SignalError as e:
                error = error if isinstance(error, OldCounter) else e
                continue
            self._use(address, attempt, instead_of=session)
            return plaintext
        raise error

    def group_encrypt(self, group: Group, plaintext: bytes) -> tuple[bytes, bytes]:
        """The key distribution message (as of this message) and the message."""
        key = self.own_sender_keys.get(group)
        if key is None:
            chain = Chain(os.urandom(32))
            key = self.own_sender_keys[group] = SenderKey(1 + secrets.randbelow(2**31 - 1), chain, KeyPair.generate())
        return key.send(plaintext)

    def learn_sender_key(self, group: Group, address: Address, distribution: bytes) -> int:
        """Take in a key distribution message; returns the key's id.  A known key keeps its state."""
        fields = _Fields(_body(distribution, trailer=0))
        id_ = fields.number(1)
        self.sender_keys.setdefault((group, address, id_), SenderKey(id_, Chain(fields.blob(3), fields.number(2))))
        return id_

    def group_decrypt(self, group: Group, address: Address, message: bytes) -> tuple[int, bytes]:
        """The id of the key and the plaintext."""
        id_ = _Fields(_body(message, trailer=64)).number(1)
        key = self.sender_keys.get((group, address, id_))
        if key is None:
            raise SignalError("no sender key")
        return id_, key.receive(message)
