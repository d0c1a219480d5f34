"""Who is calling: the one thing that every door of every app asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from accounts.models import Mode


@dataclass(frozen=True, slots=True)
class Actor:
    """A person or a program, acting for one organization.

    ``mode`` is ``test`` or ``live`` for a key and None for a person, who may use both networks.
    """

    organization_id: str
    kind: Literal["user", "key"]
    id: str
    scopes: frozenset[str]
    mode: str | None = None

    def may(self, scope: str) -> bool:
        return scope in self.scopes

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks whose instances the caller may touch."""
        if self.mode is None:
            return ("sandbox", "whatsapp")
        return ("sandbox",) if self.mode == Mode.TEST else ("whatsapp",)
