"""HTTPS store for encrypted attachments ("MMS" servers).

Protocol facts
--------------
* The client learns host and auth token from the stanza <media_conn>; host may carry a port.
* Upload: POST https://HOST/mms/{image,video,audio,document,...}/TOKEN?auth=..&token=..
  where TOKEN is the URL-safe base64 SHA-256 of the encrypted file; the answer is JSON with
  `url` and `direct_path`.
* Download: GET https://HOST + direct_path + "&hash=..&mms-type=..": so direct_path must
  contain a "?".  Files are AES-CBC encrypted and MACed by the clients; the server sees blobs.
* Newsletters: POST https://HOST/newsletter/newsletter-image/TOKEN with the file as it is.

Blobs pass in pieces: the store never holds a whole one in memory.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

from .attachments import PIECE
from .certificate import self_signed

MAX_UPLOAD = 2 << 30  # bytes
MAX_STORED = 4 << 30  # bytes of all blobs; the oldest go first
_GONE = 410  # anything else that is missing is answered with 404


def _marker(blob: Path) -> Path:
    return blob.with_suffix(".gone")


class Misbehaviour(NamedTuple):
    """What a fault does to one request."""

    status: int = 0  # answer with this one
    delay: float = 0  # seconds before anything is answered
    rate: int = 0  # bytes per second; 0: as fast as it goes


class Incoming:
    """A blob that is being written.  `keep` or `discard` ends it."""

    def __init__(self, store: MediaStore) -> None:
        self._store, self.size, self._hash = store, 0, hashlib.sha256()
        self._path = store.folder / f"{os.urandom(8).hex()}.incoming"
        self._file = open(self._path, "wb")  # noqa: SIM115 (closed by keep and discard)

    def write(self, piece: bytes) -> None:
        self.size += len(piece)
        self._hash.update(piece)
        self._file.write(piece)

    @property
    def sha256(self) -> bytes:
        return self._hash.digest()

    def keep(self, token: str) -> None:
        """On return the blob is on disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        blob = self._store.path(token)
        self._path.rename(blob)
        _marker(blob).unlink(missing_ok=True)
        self._store.grown(self.size)

    def discard(self) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)


class MediaStore:
    """Blobs as files, and the HTTPS server that takes and gives them.

    A blob is on disk before its uploader gets an answer.  `auth` is the secret behind the tokens that clients show
    when they upload; `misbehaviour` is asked before every request, with the number of the account that uploads or
    has uploaded, and "upload" or "download".
    """

    def __init__(self, port: int, cache: Path, folder: Path, auth: str, limit: int = MAX_STORED) -> None:
        self.host, self._port, self.folder, self._auth = f"127.0.0.1:{port}", port, folder, auth
        self.error = 0  # fault: answer everything with this HTTP status
        self.misbehaviour: Callable[[str, str], Misbehaviour] = lambda number, what: Misbehaviour()
        self.certificate, self._key = self_signed(cache)
        self._runner: web.AppRunner | None = None
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for unfinished in folder.glob("*.incoming"):
            unfinished.unlink()
        self._limit, self._stored = limit, sum(blob.stat().st_size for blob in folder.iterdir())

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

    # --- blobs --------------------------------------------------------------------------

    def put(self, token: str, blob: bytes) -> None:
        """Store a small blob at once."""
        incoming = Incoming(self)
        incoming.write(blob)
        incoming.keep(token)

    def location(self, token: str, number: str) -> tuple[str, str]:
        """URL and direct path of a blob that the account of this number uploaded."""
        path = f"/v/{token}?ccb=1&oh={number}"
        return f"https://{self.host}{path}", path

    def path(self, token: str) -> Path:
        # A client chooses the token, so it must not become a path as it is.
        return self.folder / hashlib.sha256(token.encode()).hexdigest()

    def find(self, direct_path: str) -> Path:
        """The file behind a direct path; it need not exist."""
        return self.path(direct_path.partition("?")[0].removeprefix("/v/"))

    def forget(self, direct_path: str, status: int) -> None:
        """Delete a blob; from now on it is answered with 404 or 410."""
        blob = self.find(direct_path)
        if blob.exists():
            self._stored -= blob.stat().st_size
            blob.unlink()
        if status == _GONE:
            _marker(blob).touch()

    def grown(self, size: int) -> None:
        """Delete the oldest blobs when there are too many bytes."""
        self._stored += size
        if self._stored <= self._limit:
            return
        for blob in sorted(self.folder.iterdir(), key=lambda path: path.stat().st_mtime_ns):
            if self._stored <= self._limit * 9 // 10:
                break
            if blob.suffix != ".incoming":
                self._stored -= blob.stat().st_size
                blob.unlink()

    # --- requests -----------------------------------------------------------------------

    def auth_of(self, number: str) -> str:
        """What the clients of an account show when they upload."""
        return f"{number}-{hmac.digest(self._auth.encode(), number.encode(), 'sha256').hex()[:32]}"

    def _uploader(self, request: web.Request) -> str | None:
        shown = request.query.get("auth", "")
        number = shown.partition("-")[0]
        return number if hmac.compare_digest(shown.encode(), self.auth_of(number).encode()) else None

    async def _upload(self, request: web.Request) -> web.Response:
        number = self._uploader(request)
        if number is None:
            return web.Response(status=401)
        fault = self.misbehaviour(number, "upload")
        await asyncio.sleep(fault.delay)
        if status := self.error or fault.status:
            return web.Response(status=status)
        token, incoming = request.match_info["token"], Incoming(self)
        try:
            async for piece in request.content.iter_chunked(PIECE):
                incoming.write(piece)
                if incoming.size > MAX_UPLOAD:
                    return web.Response(status=413)
                if fault.rate:
                    await asyncio.sleep(len(piece) / fault.rate)
            if base64.urlsafe_b64encode(incoming.sha256).decode() != token:
                return web.Response(status=400, text="the token is not the hash of the file")
            await asyncio.to_thread(incoming.keep, token)
        finally:
            incoming.discard()
        url, path = self.location(token, number)
        return web.json_response({"url": url, "direct_path": path, "handle": token, "object_id": ""})

    async def _download(self, request: web.Request) -> web.StreamResponse:
        fault = self.misbehaviour(request.query.get("oh", ""), "download")
        await asyncio.sleep(fault.delay)
        blob = self.path(request.match_info["token"])
        if status := self.error or fault.status:
            return web.Response(status=status)
        if not blob.exists():
            return web.Response(status=_GONE if _marker(blob).exists() else 404)
        if not fault.rate:
            return web.FileResponse(blob, headers={"Content-Type": "application/octet-stream"})
        return await self._give_slowly(request, blob, fault.rate)

    @staticmethod
    async def _give_slowly(request: web.Request, blob: Path, rate: int) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(blob.stat().st_size)})
        await response.prepare(request)
        with open(blob, "rb") as file:
            while piece := file.read(max(1, min(PIECE, rate // 10))):
                await response.write(piece)
                await asyncio.sleep(len(piece) / rate)
        return response

    async def _delete(self, request: web.Request) -> web.Response:
        if self._uploader(request) is None:
            return web.Response(status=401)
        self.forget(f"/v/{request.match_info['token']}", 404)
        return web.Response()
