"""Who causes what happens now: read by logs, audit and errors, set by whoever knows."""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Any, NamedTuple


class Origin(NamedTuple):
    """Where an act comes from.

    ``source`` is ``api``, ``admin``, ``socket``, ``task`` or ``command``. ``actor_kind`` is ``user``, ``key``,
    ``operator``, ``anonymous`` (a request before or without authentication) or ``system`` (no request).
    ``actor_name`` is an e-mail address or a key's name. Texts are empty where nothing is known.
    """

    source: str = "command"
    request_id: str = ""
    address: str = ""
    actor_kind: str = "system"
    actor_id: str = ""
    actor_name: str = ""
    organization_id: str | None = None


_process = Origin()
_current: ContextVar[Origin | None] = ContextVar("origin", default=None)


def current() -> Origin:
    """The origin of what this thread or coroutine does; that of the process where nothing was set."""
    return _current.get() or _process


def bind(**changes: Any) -> None:
    """Change fields of the current origin, until the request, task or connection it belongs to ends."""
    _current.set(current()._replace(**changes))


def enter(origin: Origin) -> Token[Origin | None]:
    """Make this the current origin; hand the token to ``leave``."""
    return _current.set(origin)


def leave(token: Token[Origin | None]) -> None:
    _current.reset(token)


def set_process_source(source: str) -> None:
    """The source of all that this process does outside of requests and tasks."""
    global _process
    _process = _process._replace(source=source)
