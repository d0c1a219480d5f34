"""What operators do to people."""

from __future__ import annotations

from django.db import transaction

from accounts import authentication
from accounts.models import Session, User
from audit.services import record


def deactivate(*, user: User) -> bool:
    """Let a person in no more, and end all their sessions; True if they were active. API keys work on."""
    with transaction.atomic():
        if not User.objects.filter(pk=user.pk, is_active=True).update(is_active=False):
            return False
        user.sessions.revoke(Session.Revoked.DEACTIVATED)
        record("user:deactivated", organization_id=None, subject=user.pk)
    authentication.forget()
    return True


@transaction.atomic
def reactivate(*, user: User) -> bool:
    """Let a person log in again; True if they were deactivated."""
    if not User.objects.filter(pk=user.pk, is_active=False).update(is_active=True):
        return False
    record("user:reactivated", organization_id=None, subject=user.pk)
    return True
