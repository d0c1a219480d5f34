"""Who is calling: the one thing that every door of every app asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from accounts.models import Mode


@dataclass(frozen=True, slots=True)
class Actor:
    """A person or a program, acting for one organization.

    ``scopes`` holds the scopes of a key, or what a person's role permits. ``mode`` is ``test`` or ``live``
    for a key and None for a person, who may use both networks. ``instances`` are the only ones a key may see
    and touch, None for all. ``role`` and ``session_id`` are a person's. ``name`` is the person's e-mail
    address or the key's name. ``suspended`` says why the organization is suspended. A person without an
    organization has the empty ``organization_id`` and may do nothing but see to their own account.
    """

    organization_id: str
    kind: Literal["user", "key"]
    id: str
    scopes: frozenset[str]
    mode: str | None = None
    instances: frozenset[str] | None = None
    role: str | None = None
    session_id: str | None = None
    name: str = ""
    suspended: str | None = None

    def may(self, scope: str) -> bool:
        return scope in self.scopes

    def reaches(self, instance_id: str) -> bool:
        """False for an instance that the key is not meant for."""
        return self.instances is None or instance_id in self.instances

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks whose instances the caller may touch."""
        if self.mode is None:
            return ("sandbox", "whatsapp")
        return ("sandbox",) if self.mode == Mode.TEST else ("whatsapp",)
