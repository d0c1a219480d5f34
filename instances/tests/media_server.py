"""A media server of the test's own, as obliging or as hostile as it has to be, and files as senders encrypt them."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import ipaddress
import os
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509.oid import NameOID
from pytest_django import Settings

from instances.whatsapp import downloading
from instances.whatsapp.files import RemoteFile

Send = Callable[[bytes], object]
Answer = Callable[[Send], None]
OK = b"HTTP/1.1 200 OK\r\n"


def gives(blob: bytes, claimed: int | None = None) -> Answer:
    size = len(blob) if claimed is None else claimed
    return lambda send: (send(OK + b"Content-Length: %d\r\n\r\n" % size), send(blob))[0]  # type: ignore[return-value]


def says(status: int, *headers: str) -> Answer:
    head = "\r\n".join([f"HTTP/1.1 {status} So", "Content-Length: 0", *headers, "", ""])
    return lambda send: send(head.encode())  # type: ignore[return-value]


def streams(pieces: Callable[[], Iterator[bytes]]) -> Answer:
    """A body without a length."""

    def answer(send: Send) -> None:
        send(OK + b"\r\n")
        for piece in pieces():
            send(piece)

    return answer


class MediaServer:
    """Answers each request with the next of `answers`, the last one for ever; `heads` are the requests."""

    def __init__(self, certificate: Path) -> None:
        self.answers: list[Answer] = [says(404)]
        self.heads: list[str] = []
        self.sent = 0  # bytes
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        media_server = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                try:
                    with context.wrap_socket(self.request, server_side=True) as connection:
                        media_server._serve(connection)
                except OSError:
                    pass  # the client has gone, as some of them should

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self.tcp = Server(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.tcp.server_address[1]}"

    def _serve(self, connection: ssl.SSLSocket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(65536) or b"\r\n\r\n"
        self.heads.append(head.decode())

        def send(piece: bytes) -> None:
            connection.sendall(piece)
            self.sent += len(piece)

        (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])(send)


@contextmanager
def media_server(settings: Settings, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[MediaServer]:
    """Where received files are fetched from meanwhile."""
    certificate = folder / "media-server.pem"
    certificate.write_bytes(_self_signed())
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    downloading.trusted.cache_clear()
    server = MediaServer(certificate)
    settings.WHATSAPP_MEDIA_HOST = server.host
    thread = threading.Thread(target=server.tcp.serve_forever, args=[0.01])
    thread.start()
    try:
        yield server
    finally:
        server.tcp.shutdown()
        thread.join()
        server.tcp.server_close()
        downloading.trusted.cache_clear()


def _self_signed() -> bytes:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "media")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return secret + certificate.public_bytes(pem)


def keys_of(media_key: bytes, kind: str) -> tuple[bytes, bytes, bytes]:
    """IV, cipher's key, MAC's key."""
    known = {"sticker": b"WhatsApp Image Keys", "voice": b"WhatsApp Audio Keys"}
    info = known.get(kind) or f"WhatsApp {kind.title()} Keys".encode()
    keys = HKDF(hashes.SHA256(), 112, None, info).derive(media_key)
    return keys[:16], keys[16:48], keys[48:80]


def with_mac(ciphertext: bytes, media_key: bytes, kind: str = "image") -> bytes:
    iv, _, mac_key = keys_of(media_key, kind)
    return ciphertext + hmac.digest(mac_key, iv + ciphertext, "sha256")[:10]


def sealed(content: bytes, kind: str = "image", **columns: Any) -> tuple[RemoteFile, bytes]:
    """What a message says of a file, and what WhatsApp keeps of it."""
    media_key, fill = os.urandom(32), 16 - len(content) % 16
    iv, cipher_key, _ = keys_of(media_key, kind)
    encryptor = Cipher(algorithms.AES(cipher_key), modes.CBC(iv)).encryptor()
    ciphertext = encryptor.update(content + bytes([fill]) * fill) + encryptor.finalize()
    blob = with_mac(ciphertext, media_key, kind)
    known = {
        "kind": kind,
        "direct_path": "/v/t62.7118-24/1?ccb=11-4&oh=1",
        "media_key": media_key,
        "file_sha256": hashlib.sha256(content).digest(),
        "file_enc_sha256": hashlib.sha256(blob).digest(),
        "size": len(content),
        "mime_type": "image/jpeg",
    }
    return RemoteFile(**(known | columns)), blob


def of_channel(content: bytes, **columns: Any) -> RemoteFile:
    """What a channel says of a file, which WhatsApp keeps as it is."""
    return sealed(content, **({"media_key": b"", "file_enc_sha256": b""} | columns))[0]
