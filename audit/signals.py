"""Logins on the admin's own page; those through the API are recorded by the accounts."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver

from audit.services import record
from config import context


def _by_operator(user: Any) -> bool:
    if context.current().source != "admin" or user is None:
        return False
    context.bind(actor_kind="operator", actor_id=user.pk, actor_name=user.get_username())
    return True


@receiver(user_logged_in)
def logged_in(user: Any, **_: Any) -> None:
    if _by_operator(user):
        record("user:logged_in", organization_id=None, subject=user.pk)


@receiver(user_logged_out)
def logged_out(user: Any, **_: Any) -> None:
    if _by_operator(user):
        record("user:logged_out", organization_id=None, subject=user.pk)


@receiver(user_login_failed)
def login_failed(credentials: dict[str, Any], **_: Any) -> None:
    if context.current().source == "admin":
        email = str(credentials.get("username", credentials.get("email", "")))
        record("user:login_failed", organization_id=None, changes={"email": email[:254]})
