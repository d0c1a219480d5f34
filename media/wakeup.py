"""Wake-ups for the task worker: each may be lost, and what it was for is found again by `media.tasks.sweep`."""

from __future__ import annotations

from instances.wakeup import task


def fetch() -> None:
    """There is a link to fetch."""
    task("media.tasks.fetch")


def convert() -> None:
    """There is a rendition to make."""
    task("media.tasks.convert")


def prepare(media_id: str, kind: str) -> None:
    """Somebody wants to send a file."""
    task("media.tasks.prepare", media_id, kind)
