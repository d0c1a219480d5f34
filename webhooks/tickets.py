"""One-time tickets for clients that cannot send headers with a WebSocket, that is browsers."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import NamedTuple

import redis
from django.core.cache import cache
from django.utils import timezone

from accounts.actor import Actor
from accounts.authentication import actor_of_user
from accounts.models import ApiKey, User
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


def redeem(ticket: str) -> Actor:
    """The actor of a ticket, once. Raises Problem ``invalid_token``, and redis.RedisError."""
    key = _key(ticket)
    found = cache.get(key)
    # Of all who found it, the one that adds the mark has it; the mark outlives the ticket.
    if found is None or not cache.add(f"{key}:used", 1, timeout=2 * SECONDS):
        raise Problem("invalid_token", "The ticket is unknown, used or expired.")
    cache.delete(key)
    return Actor(**found)


def renewed(actor: Actor) -> Actor:
    """The actor of a redeemed ticket as it is now. Raises Problem if the key or the person lost its rights."""
    if actor.kind == "key":
        key = ApiKey.objects.get_usable_keys().filter(pk=actor.id).first()
        if key is None or key.has_expired:
            raise Problem("invalid_credentials", "The API key is revoked or expired.")
        return replace(actor, scopes=frozenset(key.scopes))
    user = User.objects.filter(pk=actor.id, is_active=True).first()
    if user is None:
        raise Problem("invalid_credentials", "The account is not active.")
    return actor_of_user(user)
