from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, cast

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import AuthenticationFailed, TokenError
from rest_framework_simplejwt.tokens import RefreshToken

from accounts.actor import Actor
from accounts.authentication import CHALLENGE
from accounts.models import ApiKey, Membership, Organization, Role, User
from config.api.problems import FieldError, Problem

# Called with every new organization inside its transaction; apps of higher floors register here at start-up.
organization_created: list[Callable[[Organization], None]] = []


class Tokens(NamedTuple):
    access: str
    refresh: str


class Registration(NamedTuple):
    user: User
    organization: Organization


def issue_tokens(*, user: User) -> Tokens:
    refresh = RefreshToken.for_user(user)
    return Tokens(str(refresh.access_token), str(refresh))


@transaction.atomic
def register(*, email: str, password: str, name: str) -> Registration:
    """Create a user, their organization (named after them) and what hangs on a new organization.

    Raises Problem ``email_taken`` or ``invalid_request`` for a weak password.
    """
    try:
        validate_password(password, User(email=email, name=name))
    except ValidationError as error:
        errors = [FieldError("/password", e.code or "invalid", e.messages[0]) for e in error.error_list]
        raise Problem("invalid_request", "The password is too weak.", errors=errors) from error
    try:
        with transaction.atomic():
            user = User.objects.create_user(email, password, name=name)
    except IntegrityError as error:
        raise Problem("email_taken") from error
    organization = create_organization(name=name, owner=user)
    return Registration(user, organization)


@transaction.atomic
def create_organization(*, name: str, owner: User) -> Organization:
    """Create a tenant with its owner; apps above add theirs through ``organization_created``."""
    organization = Organization.objects.create(name=name)
    Membership.objects.create(organization=organization, user=owner, role=Role.OWNER)
    for handler in organization_created:
        handler(organization)
    return organization


def log_in(*, email: str, password: str) -> Tokens:
    """Raises Problem ``invalid_credentials``, the same for an unknown address and a wrong password."""
    user = User.objects.filter(email=email.strip().lower()).first()
    if user is None:
        # The same work as for a known address, so that the time tells nothing.
        User().set_password(password)
    if user is None or not user.check_password(password) or not user.is_active:
        raise Problem("invalid_credentials", "The e-mail address or the password is wrong.", headers=CHALLENGE)
    User.objects.filter(pk=user.pk).update(last_login=timezone.now())
    return issue_tokens(user=user)


def refresh_tokens(*, refresh: str) -> Tokens:
    """Exchange a refresh token for new tokens, once: the row that revokes the old token is unique.

    Raises Problem ``invalid_token``.
    """
    invalid = Problem("invalid_token", "The refresh token is not valid, has expired or was used.", headers=CHALLENGE)
    try:
        old = RefreshToken(refresh)  # type: ignore[arg-type]
        first_use = old.blacklist()[1]  # type: ignore[index]  # the stubs name the wrong type
        user = JWTAuthentication().get_user(old)  # also refuses it when the password was changed since
    except (TokenError, AuthenticationFailed) as error:
        raise invalid from error
    if not first_use:
        raise invalid
    return issue_tokens(user=cast(User, user))


def create_key(*, actor: Actor, name: str, mode: str, scopes: list[str]) -> tuple[ApiKey, str]:
    """Create an API key; returns the row and the key, which is shown this once.

    A caller cannot hand out more than it has: Problem ``permission_denied`` for a scope it lacks, and for
    a live key made with a test key.
    """
    if not set(scopes) <= actor.scopes or (actor.mode is not None and actor.mode != mode):
        raise Problem("permission_denied", "A key cannot be given more than its creator may do.")
    created = ApiKey.objects.create_key(
        organization_id=actor.organization_id,
        name=name,
        mode=mode,
        scopes=sorted(set(scopes)),
        created_by_id=actor.id if actor.kind == "user" else None,
    )
    return cast(tuple[ApiKey, str], created)
