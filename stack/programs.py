"""Which processes make up the product, and their command lines."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from stack.options import Options
from stack.paths import Paths
from stack.program import Program
from stack.with_overlay import overlay_environ

FRONT, BEAT, TASKS, SESSIONS, SANDBOX = range(10, 60, 10)  # order of stopping; Valkey and PostgreSQL come after
SESSION_STOP_SECONDS = 30.0  # sends in flight, disconnects, releases


class Programs:
    """The command lines for one installation. `environ` is what all of them get."""

    def __init__(self, options: Options, paths: Paths, environ: Mapping[str, str]) -> None:
        self.options, self.paths, self.environ = options, paths, environ
        self.web_socket = paths.sockets / "web.sock"
        self.live_socket = paths.sockets / "live.sock"
        self.sandbox_control = paths.sockets / "sandbox.sock"

    def _program(self, name: str, module: str, *arguments: str, **options: Any) -> Program:
        return Program(name=name, argv=[sys.executable, "-m", module, *arguments], environ=self.environ, **options)

    def splitter(self) -> Program:
        address = ("--host", self.options.host, "--port", str(self.options.port))
        backends = ("--web", str(self.web_socket), "--live", str(self.live_socket))
        return self._program("splitter", "stack.splitter", *address, *backends, stop_rank=FRONT)

    def web(self) -> Program:
        return self._program(
            *("web", "granian", "config.wsgi:application", "--interface", "wsgi", "--uds", str(self.web_socket)),
            *("--uds-permissions", "0o600", "--http", "1", "--no-ws", "--http1-header-read-timeout", "60000"),
            *("--workers", str(self.options.web_workers), "--blocking-threads", "8", "--workers-kill-timeout", "8"),
            *("--respawn-failed-workers", "--respawn-interval", "0.2", "--no-access-log"),
            before_start=_remover(self.web_socket),
            stop_rank=FRONT,
        )

    def live(self) -> Program:
        return self._program(
            *("live", "daphne", "-u", str(self.live_socket), "--no-server-name", "--verbosity", "1"),
            *("--access-log", os.devnull, "--application-close-timeout", "2"),
            # A peer that is gone is noticed within 45 seconds; none is closed for its age.
            *("--ping-interval", "15", "--ping-timeout", "30", "--websocket_timeout", "-1"),
            *("--websocket_connect_timeout", "20", "--websocket-max-message-size", "65536"),
            "config.asgi:application",
            before_start=_remover(self.live_socket, self.live_socket.with_name(self.live_socket.name + ".lock")),
            stop_rank=FRONT,
        )

    def tasks(self) -> Program:
        return self._celery(
            *("tasks", "worker", "-Q", "tasks", "-P", "threads", "-c", str(self.options.task_threads)),
            *("-n", "tasks@%h", "--without-gossip", "--without-mingle"),
            stop_rank=TASKS,
            stop_seconds=20.0,
        )

    def beat(self) -> Program:
        schedule = self.paths.run / "beat-schedule"
        pid_file = self.paths.run / "beat.pid"
        return self._celery(
            *("beat", "beat", "--schedule", str(schedule), "--pidfile", str(pid_file)),
            before_start=_remover(pid_file),  # one beat is our promise; a killed one leaves its file behind
            stop_rank=BEAT,
        )

    def sessions(self, network: str, number: int, late_environ: Callable[[], Mapping[str, str]] | None) -> Program:
        name = f"sessions-{network}-{number}"
        return self._celery(
            *(name, "worker", "-P", "threads", "--hold-sessions", "--network", network, "-n", f"{name}@%h"),
            *("--without-gossip", "--without-mingle"),
            late_environ=late_environ,
            stop_rank=SESSIONS,
            stop_seconds=SESSION_STOP_SECONDS,
        )

    def _celery(self, name: str, *arguments: str, **options: Any) -> Program:
        command = ("celery", "-A", "config", "--skip-checks", *arguments, "--loglevel", "INFO")
        return self._program(name, *command, **options)

    def sandbox(self) -> Program:
        port, media_port = sandbox_ports(self.paths.sandbox / "ports.json")
        state = self.paths.sandbox
        return self._program(
            *("sandbox", "sandbox", "--port", str(port), "--media-port", str(media_port)),
            *("--cache", str(state / "cache"), "--state", str(state), "--control", str(self.sandbox_control)),
            before_start=_remover(self.sandbox_control),
            stop_rank=SANDBOX,
        )

    def overlay_environ(self) -> dict[str, str]:
        """For session workers of the sandbox. Raises as with_overlay.overlay_environ does."""
        return overlay_environ(self.paths.sandbox / "ready.json", self.environ)


def _remover(*leftovers: Path) -> Callable[[], None]:
    """Removes what a killed predecessor left behind; a lock file there can hold back its successor."""

    def remove() -> None:
        for path in leftovers:
            path.unlink(missing_ok=True)

    return remove


def sandbox_ports(file: Path) -> tuple[int, int]:
    """The sandbox's two ports, the same at each start as long as they are free; linked stores remember them."""
    try:
        kept = json.loads(file.read_text())
        ports = int(kept["port"]), int(kept["media_port"])
        if all(map(_is_free, ports)):
            return ports
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pass
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        ports = one.getsockname()[1], other.getsockname()[1]
    file.write_text(json.dumps({"port": ports[0], "media_port": ports[1]}))
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
