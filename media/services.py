from __future__ import annotations

from instances import wakeup


def prepare(media_id: str, kind: str) -> None:
    """Have the task worker make a file ready to be sent as a kind. Idempotent, never fails; the hint may be lost.

    The handlers are called when it is ready, also if it was before: whoever waits may have come in between.
    """
    wakeup.task("media.tasks.prepare", media_id, kind)
