"""Ends sockets whose caller has lost the right to them, for all sockets of the process together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from django.db import Error as DatabaseError

from accounts import rights, selectors
from accounts.actor import Actor
from accounts.models import Scope
from webhooks.blocking import closing_connections

log = structlog.get_logger(__name__)

CHECK_SECONDS = 0.5


@dataclass(eq=False, slots=True)
class Watch:
    """One socket's actor; ``seen`` are the rights with which it was last found to be allowed."""

    actor: Actor
    place: rights.Place
    revoked: Callable[[], None]
    seen: Sequence[Any] | None = None


_watches: set[Watch] = set()
_checker: asyncio.Task[None] | None = None


@contextlib.contextmanager
def watched(actor: Actor, revoked: Callable[[], None]) -> Iterator[None]:
    """Call ``revoked`` once the actor may no longer read, or may see other things than before: within a second of that.

    Costs two queries every CHECK_SECONDS, however many actors are watched. While the database is away nobody
    is revoked.
    """
    global _checker
    watch = Watch(actor, rights.place_of(actor), revoked)
    _watches.add(watch)
    if _checker is None or _checker.done():
        _checker = asyncio.get_running_loop().create_task(_check_all())
    try:
        yield
    finally:
        _watches.discard(watch)


async def _check_all() -> None:
    while _watches:
        await asyncio.sleep(CHECK_SECONDS)
        try:
            lost = await asyncio.to_thread(closing_connections, losers, list(_watches))
        except DatabaseError as error:
            log.warning("sockets not checked", reason=type(error).__name__)
            continue
        for watch in lost:
            if watch in _watches:
                _watches.discard(watch)
                watch.revoked()


def losers(watches: Collection[Watch]) -> list[Watch]:
    """Those whose actor is no longer allowed. Only whose rights have changed are looked at closely."""
    found = rights.rights_at({watch.place for watch in watches})
    changed = [watch for watch in watches if watch.seen is None or found.get(watch.place) != watch.seen]
    allowed = still_allowed({watch.actor for watch in changed}) if changed else set()
    for watch in changed:
        if watch.actor in allowed:
            watch.seen = found.get(watch.place)
    return [watch for watch in changed if watch.actor not in allowed]


def still_allowed(actors: set[Actor]) -> set[Actor]:
    """Those that may read, and see what they saw when their sockets were opened."""
    return {
        then
        for then, now in selectors.current(actors).items()
        if now.may(Scope.READ) and (now.mode, now.instances) == (then.mode, then.instances)
    }
