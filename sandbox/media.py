"""HTTPS store for encrypted attachments ("MMS" servers).

Protocol facts
--------------
* The client learns host and auth token from the stanza <media_conn>; host may carry a port.
* Upload: POST https://HOST/mms/{image,video,audio,document,...}/TOKEN?auth=..&token=..
  where TOKEN is the URL-safe base64 SHA-256 of the encrypted file; the answer is JSON with
  `url` and `direct_path`.
* Download: GET https://HOST + direct_path + "&hash=..&mms-type=..": so direct_path must
  contain a "?".  Files are AES-CBC encrypted and MACed by the clients; the server sees blobs.
"""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import hmac
import ipaddress
import os
import shutil
import ssl
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

MAX_UPLOAD = 128 << 20  # bytes


def self_signed(cache: Path) -> tuple[Path, Path]:
    """Certificate and key for 127.0.0.1; made once per cache, so that it stays trusted across restarts."""
    folder = cache.resolve() / "tls"
    if not folder.exists():
        building = folder.with_suffix(f".{os.getpid()}")
        building.mkdir(parents=True, mode=0o700)
        _make_certificate(building)
        try:
            building.rename(folder)
        except OSError:
            shutil.rmtree(building)  # another process was faster
    return folder / "certificate.pem", folder / "key.pem"


def _make_certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sandbox media")])
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    addresses = x509.SubjectAlternativeName(
        [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=3650))
        .add_extension(addresses, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    key_path = folder / "key.pem"
    key_path.touch(mode=0o600)
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


class MediaStore:
    """Blobs as files, and the HTTPS server that takes and gives them.

    A blob is on disk before its uploader gets an answer.  `auth` is the token that clients show when they upload.
    """

    def __init__(self, port: int, cache: Path, folder: Path, auth: str) -> None:
        self.host, self._port, self._folder, self.auth = f"127.0.0.1:{port}", port, folder, auth
        self.error = 0  # fault: answer everything with this HTTP status
        self.certificate, self._key = self_signed(cache)
        self._runner: web.AppRunner | None = None
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def start(self) -> None:
        """Raises OSError if the port is taken."""
        app = web.Application(client_max_size=MAX_UPLOAD)
        app.router.add_post("/{prefix:mms|newsletter}/{kind}/{token}", self._upload)
        app.router.add_delete("/{prefix:mms|newsletter}/{kind}/{token}", self._delete)
        app.router.add_get("/v/{token}", self._download)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self._key)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=context).start()
        self.host = f"127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner:
            await self._runner.cleanup()

    def put(self, token: str, blob: bytes) -> tuple[str, str]:
        """Store a blob; returns its URL and its direct path."""
        path = self._path(token)
        building = path.with_suffix(f".{os.getpid()}.{id(blob)}")
        with open(building, "wb") as file:
            file.write(blob)
            file.flush()
            os.fsync(file.fileno())
        building.rename(path)
        return self.location(token)

    def location(self, token: str) -> tuple[str, str]:
        """URL and direct path of a blob."""
        path = f"/v/{token}?ccb=1"
        return f"https://{self.host}{path}", path

    def _path(self, token: str) -> Path:
        # A client chooses the token, so it must not become a path as it is.
        return self._folder / hashlib.sha256(token.encode()).hexdigest()

    def _refuses(self, request: web.Request) -> bool:
        return not hmac.compare_digest(request.query.get("auth", "").encode(), self.auth.encode())

    async def _upload(self, request: web.Request) -> web.Response:
        if self.error:
            return web.Response(status=self.error)
        if self._refuses(request):
            return web.Response(status=401)
        url, path = await asyncio.to_thread(self.put, request.match_info["token"], await request.read())
        return web.json_response({"url": url, "direct_path": path, "handle": "", "object_id": ""})

    async def _download(self, request: web.Request) -> web.StreamResponse:
        path = self._path(request.match_info["token"])
        if self.error or not path.exists():
            return web.Response(status=self.error or 404)
        return web.FileResponse(path, headers={"Content-Type": "application/octet-stream"})

    async def _delete(self, request: web.Request) -> web.Response:
        if self._refuses(request):
            return web.Response(status=401)
        self._path(request.match_info["token"]).unlink(missing_ok=True)
        return web.Response()
