from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, cast

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.actor import Actor
from accounts.authentication import CHALLENGE
from accounts.models import ApiKey, Membership, Organization, Role, User
from accounts.sessions import NOWHERE, Device, Tokens, issue_tokens
from config.api.problems import FieldError, Problem

# Called with every new organization inside its transaction; apps of higher floors register here at start-up.
organization_created: list[Callable[[Organization], None]] = []


class Registration(NamedTuple):
    user: User
    organization: Organization


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


def log_in(*, email: str, password: str, device: Device = NOWHERE) -> Tokens:
    """Raises Problem ``invalid_credentials``, the same for an unknown address and a wrong password."""
    user = User.objects.filter(email=email.strip().lower()).first()
    if user is None:
        # The same work as for a known address, so that the time tells nothing.
        User().set_password(password)
    if user is None or not user.check_password(password) or not user.is_active:
        raise Problem("invalid_credentials", "The e-mail address or the password is wrong.", headers=CHALLENGE)
    User.objects.filter(pk=user.pk).update(last_login=timezone.now())
    return issue_tokens(user=user, device=device)


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
