"""One path for all credentials: ``Authorization: Bearer`` with a key or an access token, or ``X-API-Key``.

After it, ``request.auth`` is an Actor. What was found is kept for CACHE_SECONDS in each process, so every loss
of rights is effective everywhere within a second. This module must not import rest_framework.views (a
circular import inside the framework).
"""

from __future__ import annotations

import hashlib
import time
from datetime import timedelta
from functools import partial
from typing import Any, Generic, TypeVar, cast

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q
from django.utils import timezone
from django.utils.functional import SimpleLazyObject
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken

from accounts import selectors
from accounts.actor import Actor
from accounts.models import ApiKey, User
from accounts.selectors import KeyHolder
from config import context
from config.api.problems import Problem

CHALLENGE = {"WWW-Authenticate": "Bearer"}
CACHE_SECONDS = 0.5  # how long a lost right may still count in a process
NOTE_USE_EVERY = timedelta(minutes=1)
BROWSER_SESSION = "accounts.session"  # where Django's session keeps the id of ours
_CACHE_SIZE = 10_000
K = TypeVar("K")
V = TypeVar("V")


class _Cache(Generic[K, V]):
    """Forgets what was read from the database more than CACHE_SECONDS ago."""

    def __init__(self) -> None:
        self._entries: dict[K, tuple[float, V]] = {}

    def get(self, key: K, now: float) -> V | None:
        entry = self._entries.get(key)
        return entry[1] if entry and now < entry[0] else None

    def put(self, key: K, value: V, read_at: float) -> None:
        if len(self._entries) >= _CACHE_SIZE:
            self._entries.clear()
        self._entries[key] = read_at + CACHE_SECONDS, value

    def clear(self) -> None:
        self._entries.clear()


_keys: _Cache[bytes, KeyHolder] = _Cache()
_sessions: _Cache[str, tuple[Actor, ...]] = _Cache()


def forget() -> None:
    """Look everybody up again; this process need not wait for what it has just changed itself."""
    _keys.clear()
    _sessions.clear()


class Program(AnonymousUser):
    """``request.user`` of a call with a key: authenticated, but no person."""

    @property
    def is_authenticated(self) -> bool:  # type: ignore[override]
        return True


def actor_of_key(key: str, address: str) -> Actor:
    """The actor of an API key used from a client address; none or one query, and a write once a minute.

    Raises Problem ``invalid_credentials``, the same for unknown, revoked and expired keys, and
    ``address_not_allowed``.
    """
    digest, now = hashlib.sha256(key.encode(errors="replace")).digest(), time.monotonic()
    holder = _keys.get(digest, now)
    if holder is None:
        try:
            row = ApiKey.objects.get_from_key(key)
        except ApiKey.DoesNotExist as error:
            raise _unusable_key() from error
        holder = selectors.key_holder(row)
        _keys.put(digest, holder, now)
        if holder.admits(address):
            _note_use(row)
    if holder.expires_at is not None and holder.expires_at <= timezone.now():
        raise _unusable_key()
    if not holder.admits(address):
        raise Problem("address_not_allowed", "The API key cannot be used from this address.")
    return holder.actor


def _unusable_key() -> Problem:
    return Problem("invalid_credentials", "The API key is unknown, revoked or expired.", headers=CHALLENGE)


def _note_use(key: ApiKey) -> None:
    now = timezone.now()
    if key.last_used_at is None or key.last_used_at < now - NOTE_USE_EVERY:
        due = Q(last_used_at=None) | Q(last_used_at__lt=now - NOTE_USE_EVERY)
        ApiKey.objects.filter(due, pk=key.pk).update(last_used_at=now)


def actors_of_session(session_id: str) -> tuple[Actor, ...]:
    """The person of a session in each of their organizations; none or one query.

    Raises Problem ``invalid_token`` when the session has ended or the person is switched off.
    """
    now = time.monotonic()
    actors = _sessions.get(session_id, now)
    if actors is None:
        actors = selectors.actors_of_sessions([session_id]).get(session_id)
        if actors is None:
            raise _invalid_token()
        _sessions.put(session_id, actors, now)
    return actors


def _invalid_token() -> Problem:
    return Problem("invalid_token", "The access token is not valid, has expired or was revoked.", headers=CHALLENGE)


def actors_of_token(token: str) -> tuple[Actor, ...]:
    """The person of an access token in each of their organizations. Raises Problem ``invalid_token``."""
    try:
        claims = AccessToken(cast(Any, token.encode()))
    except TokenError as error:
        raise _invalid_token() from error
    session_id = claims.get("sid")
    if not isinstance(session_id, str):
        raise _invalid_token()
    actors = actors_of_session(session_id)
    if actors[0].id != claims.get("sub"):
        raise _invalid_token()
    return actors


def in_organization(actors: tuple[Actor, ...], organization: str | None) -> Actor:
    """The actor of the organization that the caller chose, or of the first. Raises Problem ``not_found``."""
    if organization is None:
        return actors[0]
    for actor in actors:
        if actor.organization_id == organization:
            return actor
    raise Problem("not_found", "You belong to no such organization.")


def authenticate(
    *, authorization: str | None, api_key: str | None, organization: str | None, address: str
) -> Actor | None:
    """The actor of the values of the headers ``Authorization``, ``X-API-Key`` and ``X-Organization``.

    None without credentials. Two at once are refused: what another server on the way looked at might be the
    other one. Raises Problem ``invalid_credentials``, ``invalid_token``, ``address_not_allowed``, ``not_found``.
    """
    if authorization and api_key is not None:
        raise Problem("invalid_credentials", "Send one credential, not two.", headers=CHALLENGE)
    if api_key is None:
        if not authorization:
            return None
        scheme, _, credential = authorization.partition(" ")
        credential = credential.strip()
        if scheme.lower() != "bearer" or not credential:
            raise Problem("invalid_credentials", "Use the scheme Bearer.", headers=CHALLENGE)
        if not credential.startswith("wak_"):
            return in_organization(actors_of_token(credential), organization)
        api_key = credential
    return in_organization((actor_of_key(api_key, address),), organization)


def person(actor: Actor) -> User:
    """The row of an actor who is a person. Raises Problem ``invalid_token``, and ``permission_denied`` for a key."""
    if actor.kind != "user":
        raise Problem("permission_denied", "An API key is no person; use an access token.")
    user = User.objects.filter(pk=actor.id).first()
    if user is None:
        raise _invalid_token()
    return user


def bind(actor: Actor) -> None:
    """Have records and logs tell who acts."""
    organization_id = actor.organization_id or None
    context.bind(actor_kind=actor.kind, actor_id=actor.id, actor_name=actor.name, organization_id=organization_id)


class Credentials(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[Any, Actor] | None:
        actor = authenticate(
            authorization=request.META.get("HTTP_AUTHORIZATION"),
            api_key=request.META.get("HTTP_X_API_KEY"),
            organization=request.META.get("HTTP_X_ORGANIZATION"),
            address=request.client_address,  # type: ignore[attr-defined]
        )
        if actor is None:
            return None
        bind(actor)
        # Few views need the person's row.
        return Program() if actor.kind == "key" else SimpleLazyObject(partial(person, actor)), actor

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class Browser(SessionAuthentication):
    """A person who logged in on a page, for the browsable API; CSRF is enforced."""

    def enforce_csrf(self, request: Request) -> None:
        """Raises Problem ``csrf_failed``."""
        try:
            super().enforce_csrf(request)
        except PermissionDenied as error:
            raise Problem("csrf_failed", f"{error.detail}.") from error

    def authenticate(self, request: Request) -> tuple[Any, Actor] | None:
        if not hasattr(request._request, "session"):
            return None
        found = super().authenticate(request)
        session_id = request._request.session.get(BROWSER_SESSION)
        if found is None or session_id is None:
            return None
        actors = actors_of_session(session_id)
        actor = in_organization(actors, request.META.get("HTTP_X_ORGANIZATION"))
        bind(actor)
        return found[0], actor
