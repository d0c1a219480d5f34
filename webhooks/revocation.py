"""Ends sockets whose caller has lost the right to them, for all sockets of the process together."""

from __future__ import annotations

import asyncio

import structlog
from django.db import DatabaseError

from accounts import selectors
from accounts.actor import Actor
from accounts.models import Scope
from webhooks.blocking import closing_connections

log = structlog.get_logger(__name__)

CHECK_SECONDS = 0.5
_watched: dict[asyncio.Future[None], Actor] = {}
_watch: asyncio.Task[None] | None = None


async def until_revoked(actor: Actor) -> None:
    """Return when the actor may no longer read, or may see other things than before: within a second of that.

    Costs one query per kind of credential every CHECK_SECONDS, however many actors are watched. While the
    database is away nobody is revoked.
    """
    global _watch
    loop = asyncio.get_running_loop()
    revoked: asyncio.Future[None] = loop.create_future()
    _watched[revoked] = actor
    if _watch is None or _watch.done():
        _watch = loop.create_task(_check_all())
    try:
        await revoked
    finally:
        del _watched[revoked]


async def _check_all() -> None:
    while _watched:
        await asyncio.sleep(CHECK_SECONDS)
        actors = set(_watched.values())
        try:
            allowed = await asyncio.to_thread(closing_connections, still_allowed, actors)
        except DatabaseError as error:
            log.warning("sockets not checked", reason=type(error).__name__)
            continue
        for revoked, actor in list(_watched.items()):
            if actor in actors and actor not in allowed and not revoked.done():
                revoked.set_result(None)


def still_allowed(actors: set[Actor]) -> set[Actor]:
    """Those that may read, and see what they saw when their sockets were opened."""
    return {
        then
        for then, now in selectors.current(actors).items()
        if now.may(Scope.READ) and (now.mode, now.instances) == (then.mode, then.instances)
    }
