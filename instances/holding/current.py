"""The holder of this process, if it is a session worker; set by the bootstep."""

from __future__ import annotations

from typing import Protocol


class Wakeable(Protocol):
    def wake(self, instance_ids: list[str]) -> None: ...


holder: Wakeable | None = None
