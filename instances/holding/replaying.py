"""Writes what killed workers of this machine had confirmed to WhatsApp and not committed."""

from __future__ import annotations

import time
from concurrent.futures import Future
from itertools import islice
from pathlib import Path
from typing import Any

import structlog
from django.db import InterfaceError, OperationalError

from instances.holding.journal import Entry, Left, left_behind
from instances.holding.writer import Writer
from instances.whatsapp.news import News
from instances.whatsapp.translating import translate

log = structlog.get_logger(__name__)
_AT_ONCE = 100
_PATIENCE_SECONDS = 2.0  # for another thread or process that is replaying it, or is about to end


def replay_own(instance_id: str, writer: Writer) -> None:
    """Write what former holdings of a number left on this disk. Returns when it is committed.

    What a holding that lives still has (a frozen process) stays with it.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    for path in left_behind(instance_id):
        while not _replay(path, writer) and path.exists() and time.monotonic() < deadline:
            time.sleep(0.05)


def replay_abandoned(writer: Writer) -> None:
    """Write what is left on this disk of numbers that nobody holds here: these are facts, so it needs no lease."""
    for path in left_behind():
        _replay(path, writer)


def _replay(path: Path, writer: Writer) -> bool:
    left = Left.take(path)
    if left is None:
        return False
    with left:
        entries, count = left.entries(), 0
        while batch := list(islice(entries, _AT_ONCE)):
            count += len(batch)
            found = [_translated(entry) for entry in batch]
            _wait([writer.submit(left.instance_id, None, news) for news in found if news is not None])
        left.remove()
    if count:
        log.warning("journal_replayed", instance=left.instance_id, events=count)
    return True


def _translated(entry: Entry) -> News | None:
    try:
        return translate(*entry)
    except Exception:
        log.exception("not_translated", event=entry.code)
        return None


def _wait(written: list[Future[Any]]) -> None:
    for one in written:
        # What fails otherwise would fail again: the writer has tried it alone, and said so.
        if isinstance(error := one.exception(), OperationalError | InterfaceError):
            raise error
