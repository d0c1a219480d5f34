"""Logins on pages (the admin and the browsable API) are sessions like all others: seen, revoked, effective at once."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils import timezone

from accounts.authentication import BROWSER_SESSION, forget
from accounts.models import Session, User


@receiver(user_logged_in)
def begin_session(request: HttpRequest, user: User, **_: Any) -> None:
    if request.session.session_key is None:
        request.session.create()
    session = Session.objects.create(
        user=user,
        browser_key=request.session.session_key,
        last_used_at=timezone.now(),
        expires_at=request.session.get_expiry_date(),
        address=getattr(request, "client_address", ""),
        user_agent=request.META.get("HTTP_USER_AGENT", "")[:300],
    )
    request.session[BROWSER_SESSION] = session.id


@receiver(user_logged_out)
def end_session(request: HttpRequest, **_: Any) -> None:
    session_id = request.session.get(BROWSER_SESSION)
    if session_id is not None:
        Session.objects.filter(pk=session_id).revoke(Session.Revoked.LOGOUT)
        forget()
