"""What this floor knows of whoever calls; the actors of accounts are callers."""

from __future__ import annotations

from typing import Any, Protocol


class Caller(Protocol):
    """``kind`` is ``user`` or ``key``; ``mode`` and ``instances`` are None for who is not limited to one or some."""

    @property
    def organization_id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def mode(self) -> str | None: ...
    @property
    def scopes(self) -> frozenset[str]: ...
    @property
    def instances(self) -> frozenset[str] | None: ...


def caller_of(request: Any) -> Caller | None:
    """Whom authentication found, or None; for requests of Django and of the REST framework."""
    auth = getattr(request, "auth", None)
    return auth if hasattr(auth, "organization_id") else None
