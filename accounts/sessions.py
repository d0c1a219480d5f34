"""Logins and their tokens: begun, renewed, ended."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NamedTuple, cast

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from rest_framework.request import Request
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import RefreshToken

from accounts import authentication
from accounts.authentication import CHALLENGE
from accounts.models import Session, User
from accounts.selectors import home_of
from audit.services import record
from config import context
from config.api.problems import Problem

LIFETIME = cast(timedelta, settings.SIMPLE_JWT["REFRESH_TOKEN_LIFETIME"])


class Tokens(NamedTuple):
    access: str
    refresh: str


class Device(NamedTuple):
    """Where a login comes from, so that a person can tell their sessions apart."""

    address: str = ""
    user_agent: str = ""


NOWHERE = Device()


def device_of(request: Request | HttpRequest) -> Device:
    return Device(request.client_address, request.META.get("HTTP_USER_AGENT", "")[:300])  # type: ignore[union-attr]


def _tokens(session: Session, refresh: RefreshToken) -> Tokens:
    refresh["sub"], refresh["sid"] = session.user_id, session.id
    return Tokens(str(refresh.access_token), str(refresh))


def issue_tokens(*, user: User, device: Device = NOWHERE) -> Tokens:
    """Begin a session; its refresh token works once, for LIFETIME."""
    now, refresh = timezone.now(), RefreshToken()
    session = Session.objects.create(
        user=user, refresh_jti=refresh["jti"], last_used_at=now, expires_at=now + LIFETIME, **device._asdict()
    )
    return _tokens(session, refresh)


def refresh_tokens(*, refresh: str) -> Tokens:
    """Exchange a refresh token for new tokens, once, by compare-and-swap.

    A token that was used before is in two hands: its whole session is revoked. Raises Problem ``invalid_token``.
    """
    old, new, now = _checked(refresh), RefreshToken(), timezone.now()
    mine = Session.objects.filter(pk=old["sid"], user_id=old["sub"])
    session = mine.live().first()
    # Only columns of the row itself: of two at once, the second looks at what the first one wrote.
    unused = mine.filter(refresh_jti=old["jti"], revoked_at=None)
    if session and unused.update(refresh_jti=new["jti"], last_used_at=now, expires_at=now + LIFETIME):
        return _tokens(session, new)
    if session:
        _revoke_reused(session)
    raise _invalid()


def end(*, user_id: str, session_id: str, reason: str) -> None:
    """End one session of a person: its tokens, its sockets, its browser. Idempotent."""
    with transaction.atomic():
        if Session.objects.filter(pk=session_id, user_id=user_id).revoke(reason):
            verb = "user:logged_out" if reason == Session.Revoked.LOGOUT else "session:revoked"
            record(verb, organization_id=home_of(user_id), subject=session_id, changes={"user": user_id})
    authentication.forget()


def end_all(*, user_id: str) -> None:
    """End all sessions of a person, this one included. Idempotent."""
    with transaction.atomic():
        ended = Session.objects.filter(user_id=user_id).revoke(Session.Revoked.LOGOUT_EVERYWHERE)
        if ended:
            changes = {"sessions": ended}
            record("user:logged_out_everywhere", organization_id=home_of(user_id), subject=user_id, changes=changes)
    authentication.forget()


def log_out(*, refresh: str) -> None:
    """End the session of a refresh token, whether it was used before or not. Raises Problem ``invalid_token``."""
    token = _checked(refresh)
    context.bind(actor_kind="user", actor_id=token["sub"])
    end(user_id=token["sub"], session_id=token["sid"], reason=Session.Revoked.LOGOUT)


def _revoke_reused(session: Session) -> None:
    with transaction.atomic():
        if Session.objects.filter(pk=session.pk).revoke(Session.Revoked.REUSE_DETECTED):
            home, changes = home_of(session.user_id), {"user": session.user_id}
            record("session:reuse_detected", organization_id=home, subject=session.pk, changes=changes)
    authentication.forget()


def _checked(refresh: str) -> RefreshToken:
    """Raises Problem ``invalid_token``."""
    try:
        token = RefreshToken(cast(Any, refresh))
    except TokenError as error:
        raise _invalid() from error
    if not all(isinstance(token.get(claim), str) for claim in ("sid", "sub")):
        raise _invalid()
    return token


def _invalid() -> Problem:
    detail = "The refresh token is not valid, has expired, was used or was revoked."
    return Problem("invalid_token", detail, headers=CHALLENGE)
