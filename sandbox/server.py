"""The sockets: WebSocket and media on 127.0.0.1, the control API on a Unix socket.

The control API is on no TCP port, so nothing that can only be talked into dialling an address
(a webhook, a link to an image) reaches it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import json
import logging
import os
import secrets
import socket
import stat
from pathlib import Path
from typing import Any, cast

from aiohttp import web

from .control import Control, dispatch
from .errors import ControlError
from .media import MediaStore
from .network import Network
from .noise import NoiseServer, ServerIdentity
from .overlay import build_overlay, client_env, root_key
from .session import Session
from .state import State
from .wire import MAX_SIZE

log = logging.getLogger(__name__)

SAVE_INTERVAL = 0.25  # seconds that a change waits at most if no stanza or answer depends on it
MAX_CONTROL_REQUEST = 32 << 20  # bytes
_MAX_UNIX_PATH = 107  # bytes, of sockaddr_un on Linux


class StartError(Exception):
    """Why the sandbox cannot start, in one line."""


class SandboxServer:
    """The whole sandbox.  `start` raises StartError, `stop` can be called in any state."""

    def __init__(self, port: int, media_port: int, cache: Path, state: Path, control: Path) -> None:
        self._port, self._media_port, self._cache, self._folder = port, media_port, cache, state
        self.control_path = control.absolute()
        self.url = ""
        self.env: dict[str, str] = {}
        self.network: Network
        self._runners: list[web.AppRunner] = []
        self._state: State | None = None
        self._media: MediaStore | None = None
        self._saver: asyncio.Task[None] | None = None
        self._lock = -1
        self._socket_inode = 0

    @property
    def ready_path(self) -> Path:
        return self._folder / "ready.json"

    async def start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock_folder()
        self.ready_path.unlink(missing_ok=True)
        control = self._control_socket()
        self._state = state = State(self._folder / "state.sqlite3")
        auth = next((value for _, value in state.load("media_auth", str)), "") or secrets.token_urlsafe(16)
        state.put("media_auth", "", auth)
        self._media = MediaStore(self._media_port, self._cache, self._folder / "media", auth)
        self.network = Network(state, self._media)
        self.network.load()
        self._control = Control(self.network)
        self.identity = ServerIdentity(root_key(self._cache))
        self._certificate = self.identity.certificate()
        await self._listen(control)
        overlay = build_overlay(self.url, self.identity.root.public, self._cache)
        self.env = client_env(overlay, self._media.certificate, self._media.host)
        self._saver = asyncio.create_task(self._save_regularly())
        self._announce()

    def _lock_folder(self) -> None:
        self._lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartError(f"another sandbox uses the state folder {self._folder}") from None

    def _control_socket(self) -> socket.socket:
        """Bind with mode 0600 from the first moment; the socket file of a dead process is replaced."""
        path = self.control_path
        if len(os.fsencode(path)) > _MAX_UNIX_PATH:
            raise StartError(f"the path of the control socket is longer than {_MAX_UNIX_PATH} bytes: {path}")
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() or path.is_symlink():
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise StartError(f"{path} exists and is not a socket")
            with socket.socket(socket.AF_UNIX) as probe:
                if probe.connect_ex(str(path)) == 0:
                    raise StartError(f"another process listens on {path}")
            path.unlink()
        listener = socket.socket(socket.AF_UNIX)
        before = os.umask(0o177)
        try:
            listener.bind(str(path))
        except OSError as e:
            listener.close()
            raise StartError(f"cannot listen on {path}: {e.strerror}") from e
        finally:
            os.umask(before)
        self._socket_inode = path.stat().st_ino
        return listener

    async def _listen(self, control: socket.socket) -> None:
        clients = web.Application()
        clients.router.add_get("/{path:.*}", self._websocket)
        runner = await self._runner(clients)
        try:
            await web.TCPSite(runner, "127.0.0.1", self._port).start()
        except OSError as e:
            raise _busy("port", self._port, e) from e
        self.url = f"ws://127.0.0.1:{runner.addresses[0][1]}"
        assert self._media is not None, "made by start"
        try:
            await self._media.start()
        except OSError as e:
            raise _busy("media port", self._media_port, e) from e
        callers = web.Application(client_max_size=MAX_CONTROL_REQUEST)
        callers.router.add_post("/control/{method}", self._answer)
        await web.SockSite(await self._runner(callers), control).start()

    async def _runner(self, app: web.Application) -> web.AppRunner:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        self._runners.append(runner)
        return runner

    def ready(self) -> dict[str, Any]:
        """What a caller needs to know: {"pid", "url", "control", "env"}."""
        return {"pid": os.getpid(), "url": self.url, "control": str(self.control_path), "env": self.env}

    def _announce(self) -> None:
        building = self.ready_path.with_suffix(".json.new")
        with open(building, "w") as file:
            file.write(json.dumps(self.ready()))
            file.flush()
            os.fsync(file.fileno())
        building.rename(self.ready_path)

    async def _save_regularly(self) -> None:
        state = self.network.state
        while True:
            await asyncio.sleep(SAVE_INTERVAL)
            try:
                state.flush()
                if state.should_merge:
                    await asyncio.to_thread(state.merge)
            except Exception:
                log.exception("cannot save the state")

    async def stop(self) -> None:
        """Close all connections, save, and remove the socket and ready.json."""
        if self._saver:
            self._saver.cancel()
            await asyncio.gather(self._saver, return_exceptions=True)
        if self.url:
            self.network.close()
        for runner in self._runners:
            await runner.cleanup()
        if self._media:
            await self._media.stop()
        if self._state:
            self._state.close()
        if self._socket_inode:
            with contextlib.suppress(FileNotFoundError):
                if self.control_path.stat().st_ino == self._socket_inode:
                    self.control_path.unlink()
        if self.env:
            self.ready_path.unlink(missing_ok=True)
        if self._lock >= 0:
            os.close(self._lock)

    # --- requests -----------------------------------------------------------------------

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        if status := self.network.faults.http_error:
            return web.Response(status=status)
        websocket = web.WebSocketResponse(compress=False, max_msg_size=MAX_SIZE, autoping=True)
        await websocket.prepare(request)
        session = Session(self.network, websocket, NoiseServer(self.identity, self._certificate))
        try:
            await session.run(cast("asyncio.WriteTransport | None", request.transport))
        except Exception:
            log.exception("session failed")
        return websocket

    async def _answer(self, request: web.Request) -> web.Response:
        name = request.match_info["method"]
        try:
            result = await dispatch(self._control, name, await request.read())
            self.network.state.flush()
        except ControlError as e:
            return _error(e.status, e.code, str(e))
        except web.HTTPRequestEntityTooLarge:
            return _error(413, "too_large", f"a request has at most {MAX_CONTROL_REQUEST} bytes")
        except Exception:
            log.exception("control method %s failed", name)
            return _error(500, "internal_error", "a bug of the sandbox; its log has the traceback")
        return web.json_response({"result": result})


def _error(status: int, code: str, detail: str) -> web.Response:
    return web.json_response({"error": {"code": code, "detail": detail}}, status=status)


def _busy(what: str, port: int, error: OSError) -> StartError:
    if error.errno == errno.EADDRINUSE:
        return StartError(f"{what} {port} is in use by another process")
    return StartError(f"cannot listen on {what} {port}: {error.strerror}")
