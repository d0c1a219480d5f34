"""The server's side of the handshake against an initiator written here from the specification."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.crypto import KeyPair, hkdf
from sandbox.noise import CONNECTION_HEADER, NoiseError, NoiseServer, ServerIdentity
from sandbox.protos import CertChain, HandshakeMessage

from .harness import unhurried

P = 2**255 - 19


def verify(public: bytes, message: bytes, signature: bytes) -> None:
    """XEdDSA: an Ed25519 signature under the Edwards form of an X25519 key."""
    u = int.from_bytes(public, "little")
    y = (u - 1) * pow(u + 1, -1, P) % P
    Ed25519PublicKey.from_public_bytes(y.to_bytes(32, "little")).verify(signature, message)


class Initiator:
    """Noise_XX_25519_AESGCM_SHA256 as the client does it."""

    def __init__(self) -> None:
        self.static, self.ephemeral = KeyPair.generate(), KeyPair.generate()
        self.hash = self.salt = b"Noise_XX_25519_AESGCM_SHA256\0\0\0\0"
        self.key, self.counter = self.hash, 0
        self.mix_hash(CONNECTION_HEADER)

    def mix_hash(self, data: bytes) -> None:
        self.hash = hashlib.sha256(self.hash + data).digest()

    def mix_key(self, secret: bytes) -> None:
        okm = hkdf(secret, 64, salt=self.salt)
        self.salt, self.key, self.counter = okm[:32], okm[32:], 0

    def nonce(self) -> bytes:
        self.counter += 1
        return (self.counter - 1).to_bytes(12, "big")

    def seal(self, data: bytes) -> bytes:
        out = AESGCM(self.key).encrypt(self.nonce(), data, self.hash)
        self.mix_hash(out)
        return out

    def open(self, data: bytes) -> bytes:
        out = AESGCM(self.key).decrypt(self.nonce(), data, self.hash)
        self.mix_hash(data)
        return out

    def hello(self) -> bytes:
        self.mix_hash(self.ephemeral.public)
        message = HandshakeMessage()
        message.clientHello.ephemeral = self.ephemeral.public
        return message.SerializeToString()

    def finish(self, frame: bytes, payload: bytes) -> tuple[bytes, bytes]:
        """The server's certificate chain and the ClientFinish."""
        hello = HandshakeMessage.FromString(frame).serverHello
        self.mix_hash(hello.ephemeral)
        self.mix_key(self.ephemeral.dh(hello.ephemeral))
        self.server_static = self.open(hello.static)
        self.mix_key(self.ephemeral.dh(self.server_static))
        certificate = self.open(hello.payload)
        message = HandshakeMessage()
        message.clientFinish.static = self.seal(self.static.public)
        self.mix_key(self.static.dh(hello.ephemeral))
        message.clientFinish.payload = self.seal(payload)
        okm = hkdf(b"", 64, salt=self.salt)
        self.sending, self.receiving = AESGCM(okm[:32]), AESGCM(okm[32:])
        return certificate, message.SerializeToString()


@pytest.fixture(scope="module")
def identity() -> ServerIdentity:
    return ServerIdentity(KeyPair.generate())


@pytest.fixture(scope="module")
def certificate(identity: ServerIdentity) -> bytes:
    return identity.certificate()


def test_both_sides_agree_on_keys_identities_and_payload(identity: ServerIdentity, certificate: bytes) -> None:
    client, server = Initiator(), NoiseServer(identity, certificate)
    shown, finish = client.finish(server.hello(client.hello()), b"payload")
    assert (shown, client.server_static) == (certificate, identity.static.public)
    assert server.finish(finish) == (client.static.public, b"payload")
    for counter in range(3):
        nonce, text = counter.to_bytes(12, "big"), b"frame %d" % counter
        assert server.open(client.sending.encrypt(nonce, text, None)) == text
        assert client.receiving.decrypt(nonce, server.seal(text), None) == text


def test_the_certificate_leads_from_the_root_to_the_static_key(identity: ServerIdentity, certificate: bytes) -> None:
    chain = CertChain.FromString(certificate)
    middle = CertChain.NoiseCertificate.Details.FromString(chain.intermediate.details)
    leaf = CertChain.NoiseCertificate.Details.FromString(chain.leaf.details)
    verify(identity.root.public, chain.intermediate.details, chain.intermediate.signature)
    verify(middle.key, chain.leaf.details, chain.leaf.signature)
    assert (middle.issuerSerial, leaf.issuerSerial, leaf.key) == (0, middle.serial, identity.static.public)
    with pytest.raises(InvalidSignature):
        verify(middle.key, chain.intermediate.details, chain.intermediate.signature)


@settings(unhurried, max_examples=20)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=100))
def test_signatures_hold_for_every_key(private: bytes, message: bytes) -> None:
    pair = KeyPair.from_private(private)
    verify(pair.public, message, pair.sign(message))


def test_a_replayed_or_changed_frame_is_refused(identity: ServerIdentity, certificate: bytes) -> None:
    client, server = Initiator(), NoiseServer(identity, certificate)
    server.finish(client.finish(server.hello(client.hello()), b"")[1])
    frame = client.sending.encrypt(bytes(12), b"once", None)
    with pytest.raises(NoiseError):
        server.open(frame[:-1] + bytes([frame[-1] ^ 1]))
    assert server.open(frame) == b"once"
    with pytest.raises(NoiseError):
        server.open(frame)


@unhurried
@given(st.binary(max_size=200))
def test_garbage_instead_of_a_hello_is_refused(garbage: bytes) -> None:
    root = KeyPair.from_private(bytes(range(32)))
    with pytest.raises(NoiseError):
        NoiseServer(ServerIdentity(root, root), b"").hello(garbage)


@unhurried
@given(st.binary(max_size=200))
def test_garbage_instead_of_a_finish_is_refused(garbage: bytes) -> None:
    root = KeyPair.from_private(bytes(range(32)))
    server = NoiseServer(ServerIdentity(root, root), b"")
    server.hello(Initiator().hello())
    with pytest.raises(NoiseError):
        server.finish(garbage)


def test_a_public_key_of_low_order_is_refused(identity: ServerIdentity, certificate: bytes) -> None:
    message = HandshakeMessage()
    message.clientHello.ephemeral = bytes(32)
    with pytest.raises(NoiseError):
        NoiseServer(identity, certificate).hello(message.SerializeToString())
