"""One path for all credentials: ``Authorization: Bearer`` with a key or an access token, or ``X-API-Key``.

After it, ``request.auth`` is an Actor. This module must not import rest_framework.views (a circular
import inside the framework).
"""

from __future__ import annotations

import hashlib
import time
from typing import Any, cast

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import AuthenticationFailed, InvalidToken

from accounts.actor import Actor
from accounts.models import KEY_SCOPES, ROLE_SCOPES, ApiKey, Membership, User
from config.api.problems import Problem

CHALLENGE = {"WWW-Authenticate": "Bearer"}
KEY_CACHE_SECONDS = 1.0  # how long a revoked key may still work in a process
_KEY_CACHE_SIZE = 10_000
_key_cache: dict[bytes, tuple[float, Actor]] = {}


class Program(AnonymousUser):
    """``request.user`` of a call with a key: authenticated, but no person."""

    @property
    def is_authenticated(self) -> bool:  # type: ignore[override]
        return True


def actor_of_key(key: str) -> Actor:
    """The actor of an API key; at most one query, and none within a second of the last look-up.

    Raises Problem ``invalid_credentials``.
    """
    digest, now = hashlib.sha256(key.encode(errors="replace")).digest(), time.monotonic()
    cached = _key_cache.get(digest)
    if cached and now < cached[0]:
        return cached[1]
    try:
        row = ApiKey.objects.get_from_key(key)
    except ApiKey.DoesNotExist as error:
        _key_cache.pop(digest, None)
        raise Problem(
            "invalid_credentials", "The API key is unknown, revoked or expired.", headers=CHALLENGE
        ) from error
    actor = Actor(
        organization_id=row.organization_id,
        kind="key",
        id=row.id,
        scopes=frozenset(row.scopes) & KEY_SCOPES,
        mode=row.mode,
        instances=None if row.instances is None else frozenset(row.instances),
        name=row.name,
        suspended=row.organization.suspended_reason,
    )
    if len(_key_cache) >= _KEY_CACHE_SIZE:
        _key_cache.clear()
    _key_cache[digest] = now + KEY_CACHE_SECONDS, actor
    return actor


def actor_of_user(user: User) -> Actor:
    """The actor of a person in the organization they joined first. Raises Problem ``permission_denied``."""
    membership = Membership.objects.filter(user=user).select_related("organization").order_by("id").first()
    if membership is None:
        raise Problem("permission_denied", "You belong to no organization.")
    return Actor(
        organization_id=membership.organization_id,
        kind="user",
        id=user.id,
        scopes=ROLE_SCOPES[membership.role],
        role=membership.role,
        name=user.email,
        suspended=membership.organization.suspended_reason,
    )


def user_of_token(token: str) -> User:
    """The person of an access token. Raises Problem ``invalid_token``."""
    backend = JWTAuthentication()
    try:
        return cast(User, backend.get_user(backend.get_validated_token(token.encode())))
    except (InvalidToken, AuthenticationFailed) as error:
        raise Problem("invalid_token", "The access token is not valid or has expired.", headers=CHALLENGE) from error


def actor_of_bearer(credential: str) -> Actor:
    """The actor of whatever stands after ``Bearer``: an API key or an access token."""
    if credential.startswith("wak_"):
        return actor_of_key(credential)
    return actor_of_user(user_of_token(credential))


class Credentials(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[Any, Actor] | None:
        key = request.META.get("HTTP_X_API_KEY")
        if key is not None:
            return Program(), actor_of_key(key)
        scheme, _, credential = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if not scheme:
            return None
        credential = credential.strip()
        if scheme.lower() != "bearer" or not credential:
            raise Problem("invalid_credentials", "Use the scheme Bearer.", headers=CHALLENGE)
        if credential.startswith("wak_"):
            return Program(), actor_of_key(credential)
        user = user_of_token(credential)
        return user, actor_of_user(user)

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class Browser(SessionAuthentication):
    """A person who logged in on a page, for the browsable API; CSRF is enforced."""

    def authenticate(self, request: Request) -> tuple[Any, Actor] | None:
        if not hasattr(request._request, "session"):
            return None
        found = super().authenticate(request)
        return (found[0], actor_of_user(found[0])) if found else None
