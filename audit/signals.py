"""Logins on pages, the admin's and the browsable API's; those through the API are recorded by the accounts."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver

from audit.services import record
from config import context


def _bind(user: Any) -> None:
    kind = "operator" if context.current().source == "admin" else "user"
    context.bind(actor_kind=kind, actor_id=user.pk, actor_name=user.get_username())


@receiver(user_logged_in)
def logged_in(user: Any, **_: Any) -> None:
    _bind(user)
    record("user:logged_in", organization_id=None, subject=user.pk)


@receiver(user_logged_out)
def logged_out(user: Any, **_: Any) -> None:
    if user is not None:
        _bind(user)
        record("user:logged_out", organization_id=None, subject=user.pk)


@receiver(user_login_failed)
def login_failed(credentials: dict[str, Any], **_: Any) -> None:
    email = str(credentials.get("username", credentials.get("email", "")))
    record("user:login_failed", organization_id=None, changes={"email": email[:254]})
