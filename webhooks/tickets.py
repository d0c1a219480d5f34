"""One-time tickets for clients that cannot send headers with a WebSocket, that is browsers."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import NamedTuple

import redis
from django.core.cache import cache
from django.utils import timezone

from accounts import selectors
from accounts.actor import Actor
from config.api.problems import Problem

SECONDS = 60


class Ticket(NamedTuple):
    ticket: str
    expires_at: datetime


def _key(ticket: str) -> str:
    return f"ticket:{hashlib.sha256(ticket.encode(errors='replace')).hexdigest()}"


def issue(actor: Actor) -> Ticket:
    """A text that opens one socket for the actor within SECONDS. Raises Problem ``unavailable`` without Redis."""
    ticket = f"wtk_{secrets.token_urlsafe(32)}"
    try:
        cache.set(_key(ticket), asdict(actor), timeout=SECONDS)
    except redis.RedisError as error:
        raise Problem("unavailable", "Tickets cannot be issued now.", headers={"Retry-After": "5"}) from error
    return Ticket(ticket, timezone.now() + timedelta(seconds=SECONDS))


def redeem(ticket: str, address: str) -> Actor:
    """The actor of a ticket as it is now, once; ``address`` is the client's.

    Raises Problem ``invalid_token``, also when the session or the key has lost its rights since, and
    redis.RedisError.
    """
    key = _key(ticket)
    found = cache.get(key)
    # Of all who found it, the one that adds the mark has it; the mark outlives the ticket.
    if found is None or not cache.add(f"{key}:used", 1, timeout=2 * SECONDS):
        raise Problem("invalid_token", "The ticket is unknown, used or expired.")
    cache.delete(key)
    actor = Actor(**found)
    now = selectors.current([actor]).get(actor)
    if now is None or not selectors.admitted(now, address):
        raise Problem("invalid_token", "Who took the ticket may no longer use it.")
    return now
