"""What stands in the links of e-mails: signed, expiring, and of no use once it was used.

Nothing is stored: each token is bound to a state of its row that using it changes.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth.tokens import default_token_generator
from django.core import signing

from accounts.models import Invitation, User
from config.api.problems import Problem
from config.ids import InvalidId, to_uuid

ADDRESS_LIFETIME = timedelta(days=3)
INVITATION_LIFETIME = timedelta(days=7)


def invalid_token() -> Problem:
    return Problem("invalid_link", "The link is not valid, has expired or was used.")


def for_reset(user: User) -> str:
    """Good for PASSWORD_RESET_TIMEOUT, until the password or the e-mail address changes or the person logs in."""
    return f"{user.id}.{default_token_generator.make_token(user)}"


def user_of_reset(token: str) -> User:
    """Raises Problem ``invalid_link``."""
    user_id, _, secret = token.partition(".")
    try:
        to_uuid(user_id, "usr")
    except InvalidId as error:
        raise invalid_token() from error
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None or not default_token_generator.check_token(user, secret):
        raise invalid_token()
    return user


def for_address(user: User, email: str) -> str:
    return signing.dumps({"user": user.id, "email": email}, salt="accounts.verify-email")


def address_of(token: str) -> tuple[str, str]:
    """The id of the person and the address that they have proven to read. Raises Problem ``invalid_link``."""
    content = _loads(token, "accounts.verify-email", ADDRESS_LIFETIME)
    return content["user"], content["email"]


def for_invitation(invitation: Invitation) -> str:
    return signing.dumps({"invitation": invitation.id}, salt="accounts.invitation")


def invitation_of(token: str) -> str:
    """The id of the invitation. Raises Problem ``invalid_link``."""
    return str(_loads(token, "accounts.invitation", INVITATION_LIFETIME)["invitation"])


def _loads(token: str, salt: str, lifetime: timedelta) -> Any:
    try:
        return signing.loads(token, salt=salt, max_age=lifetime)
    except signing.BadSignature as error:
        raise invalid_token() from error
