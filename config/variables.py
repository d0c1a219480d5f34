"""Reads environment variables through django-environ, checks them, and remembers what each of them is for.

Problems are collected, so that whoever sets an installation up sees all of them at once.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar, cast
from urllib.parse import urlsplit

import environ
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

T = TypeVar("T")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_HOST = re.compile("[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?(:[1-9][0-9]{0,4})?")
_RATE = re.compile("([1-9][0-9]{0,8})/([1-9][0-9]{0,3})?([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SWITCH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


class Rate(NamedTuple):
    """So many in so many seconds."""

    requests: int
    seconds: int


@dataclass(frozen=True)
class Per(Generic[T]):
    """A default that depends on ENVIRONMENT."""

    development: T
    production: T


class Variable(NamedTuple):
    """One variable as the docs show it: ``values`` and ``default`` are words for humans."""

    section: str
    name: str
    values: str
    default: str
    help: str
    secret: bool


def read_file(path: str | Path) -> None:
    """Take the lines NAME=value of a file into the environment, which goes before. A missing file is none."""
    environ.Env.read_env(path, overwrite=False)


def _shown(value: Any) -> str:
    if isinstance(value, Per):
        return f"{_shown(value.development)}; in production {_shown(value.production)}"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, list | tuple):
        value = ",".join(map(str, value))
    return f"`{value}`".replace("{", "").replace("}", "") if value != "" else "none"


class Reader:
    """Each method declares one variable and returns its value, checked, or the default.

    A default may name an earlier path, as in ``{VAR_DIR}/run``; a relative path as default is below ``base``.
    ``NAME_FILE`` names a file to read the value from instead (Docker's secrets). After a problem a method returns the
    default all the same; `finish` raises for all problems together. The value of a secret is never shown.
    """

    def __init__(self, base: Path) -> None:
        self._base = base
        self.declared: list[Variable] = []
        self.production = False
        self._environ = environ.FileAwareEnv.ENVIRON
        self._problems: list[str] = []
        self._section = ""
        self._paths: dict[str, str] = {}

    def section(self, title: str) -> None:
        """The heading in the docs for all that follows."""
        self._section = title

    def has(self, name: str) -> bool:
        return name in os.environ or f"{name}_FILE" in os.environ

    def require(self, name: str, value: object) -> None:
        """An empty value is a problem."""
        if not value and not any(line.startswith((f"{name} ", f"{name}_FILE ")) for line in self._problems):
            self._problems.append(f"{name} is not set. It has no default in production.")

    def finish(self) -> None:
        """Raises ImproperlyConfigured with one line for each problem."""
        if self._problems:
            raise ImproperlyConfigured("\n".join(self._problems))

    def _value(
        self, name: str, default: T | Per[T], values: str, help_: str, parse: Callable[[str], T], secret: bool = False
    ) -> T:
        """Declare and read. ``parse`` raises ValueError for a text that is none of ``values``."""
        self.declared.append(Variable(self._section, name, values, _shown(default), help_, secret))
        if isinstance(default, Per):
            default = default.production if self.production else default.development
        if isinstance(default, str):
            default = cast(T, default.format_map(self._paths))
        if not self.has(name):
            return default
        try:
            # Not through Env.str, which takes a value that begins with a dollar sign for the name of another.
            text = self._environ[name].strip()
        except OSError as error:
            self._problems.append(f"{name}_FILE must be a readable file: {error.strerror}.")
            return default
        try:
            return parse(text)
        except ValueError:
            self._problems.append(f"{name} must be {values}" + ("." if secret else f", not {text!r}."))
            return default

    def choice(self, name: str, default: str | Per[str], allowed: Sequence[str], help_: str) -> str:
        def parse(text: str) -> str:
            if text not in allowed:
                raise ValueError
            return text

        return self._value(name, default, f"one of {', '.join(allowed)}", help_, parse)

    def number(self, name: str, default: int | Per[int], low: int, high: int, help_: str) -> int:
        def parse(text: str) -> int:
            if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
                raise ValueError
            return int(text)

        return self._value(name, default, f"a whole number from {low} to {high}", help_, parse)

    def switch(self, name: str, default: bool | Per[bool], help_: str) -> bool:
        def parse(text: str) -> bool:
            if text.lower() not in _SWITCH:
                raise ValueError
            return _SWITCH[text.lower()]

        return self._value(name, default, "true or false", help_, parse)

    def rate(self, name: str, default: str, help_: str) -> Rate:
        """Spelled as django-ratelimit does: ``10/m``, ``5/15m``."""

        def parse(text: str) -> str:
            if not _RATE.fullmatch(text):
                raise ValueError
            return text

        text = self._value(name, default, "a number and a time such as 10/m, 100/30s, 5/15m or 1000/h", help_, parse)
        count, several, unit = cast("re.Match[str]", _RATE.fullmatch(text)).groups()
        return Rate(int(count), int(several or 1) * _SECONDS[unit])

    def waits(self, name: str, default: list[int], help_: str) -> list[int]:
        def parse(text: str) -> list[int]:
            numbers = [int(part) for part in text.split(",")]
            if not 1 <= len(numbers) <= 50 or not all(0 < number <= 7 * 86400 for number in numbers):
                raise ValueError
            return numbers

        return self._value(name, default, "seconds with commas between them, each at most a week", help_, parse)

    def text(self, name: str, default: str | Per[str], help_: str, *, secret: bool = False) -> str:
        return self._value(name, default, "a text", help_, str, secret)

    def host(self, name: str, default: str, help_: str) -> str:
        """A name or an IPv4 address, with a port if need be."""

        def parse(text: str) -> str:
            if not _HOST.fullmatch(text.lower()):
                raise ValueError
            return text.lower()

        return self._value(name, default, "a host such as example.com or 10.0.0.1:8443", help_, parse)

    def names(self, name: str, default: list[str] | Per[list[str]], help_: str) -> list[str]:
        return self._value(name, default, "a comma-separated list", help_, _split)

    def origins(self, name: str, default: list[str] | Per[list[str]], help_: str) -> list[str]:
        """Schemes with hosts and ports, and nothing after them."""

        def parse(text: str) -> list[str]:
            found = _split(text)
            for origin in found:
                parts = urlsplit(origin)
                if parts.scheme not in ("http", "https") or origin != f"{parts.scheme}://{parts.netloc}":
                    raise ValueError
            return found

        values = "a comma-separated list of origins such as https://app.example.com"
        return self._value(name, default, values, help_, parse)

    def networks(self, name: str, default: list[str] | Per[list[str]], help_: str) -> list[Network]:
        def parse(text: str) -> list[str]:
            return [str(ipaddress.ip_network(part)) for part in _split(text)]

        values = "a comma-separated list of networks such as 10.0.0.0/8"
        return [ipaddress.ip_network(text) for text in self._value(name, default, values, help_, parse)]

    def fernet_keys(self, name: str, help_: str) -> list[str]:
        def parse(text: str) -> list[str]:
            found = _split(text)
            for key in found:
                Fernet(key)
            return found

        values = "a comma-separated list of Fernet keys (url-safe base64 of 32 random bytes)"
        return self._value(name, [], values, help_, parse, secret=True)

    def path(self, name: str, default: str, help_: str) -> Path:
        """Made absolute."""

        def parse(text: str) -> str:
            if not text:
                raise ValueError
            return os.path.abspath(text)

        found = self._base / self._value(name, default, "a path", help_, parse)
        self._paths[name] = str(found)
        return found

    def url(
        self, name: str, default: str | Per[str], schemes: Sequence[str], help_: str, *, secret: bool = False
    ) -> str:
        """An address with one of the schemes. ``secret``: it may hold a password."""

        def parse(text: str) -> str:
            if not text.startswith(tuple(f"{scheme}://" for scheme in schemes)):
                raise ValueError
            return text

        values = f"an address with {', '.join(f'{scheme}://' for scheme in schemes[:-1])} or {schemes[-1]}://"
        return self._value(name, default, values, help_, parse, secret)

    def mail(self, name: str, default: str | Per[str], help_: str) -> str:
        """An address that django-environ reads as a mail server's."""

        def parse(text: str) -> str:
            scheme, separator, _ = text.partition("://")
            if not separator or scheme not in environ.Env.EMAIL_SCHEMES:
                raise ValueError
            environ.Env.email_url_config(text)
            return text

        return self._value(
            name, default, "an address with smtp+tls://, smtp+ssl:// or smtp://", help_, parse, secret=True
        )

    def database(self, name: str, default: str, help_: str) -> str:
        """An address that django-environ reads as PostgreSQL's or SQLite's."""

        def parse(text: str) -> str:
            if not environ.Env.db_url_config(text).get("ENGINE", "").endswith(("postgresql", "sqlite3")):
                raise ValueError
            return text

        return self._value(name, default, "an address with postgres:// or sqlite://", help_, parse, secret=True)

    def postgres(self, name: str, help_: str) -> str:
        """An address that libpq reads as a database of PostgreSQL's, or nothing."""

        def parse(text: str) -> str:
            if text and not text.startswith(("postgres://", "postgresql://")):
                raise ValueError
            try:
                conninfo_to_dict(text)
            except ProgrammingError as error:
                raise ValueError from error
            return text

        return self._value(name, "", "an address with postgres://, or nothing", help_, parse, secret=True)


def _split(text: str) -> list[str]:
    return [part for part in (piece.strip() for piece in text.split(",")) if part]
