"""The holder of this process, if it is a session worker; set by the bootstep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from instances.holding.commands import Command


class Reachable(Protocol):
    def wake(self, instance_ids: list[str]) -> None: ...

    def command(self, instance_id: str, command: Command) -> None: ...


holder: Reachable | None = None
