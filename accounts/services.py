"""What a person does with their own account."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import authentication, email_tokens, mail
from accounts.authentication import CHALLENGE
from accounts.models import Mail, Membership, Organization, Role, User
from accounts.selectors import home_of
from accounts.sessions import NOWHERE, Device, Tokens, issue_tokens
from audit.services import record
from config import context
from config.api.problems import FieldError, Problem, invalid

# Each has a subscription of its own, so their number bounds what one person gets for nothing.
MAX_ORGANIZATIONS = 20
# Called with every new organization inside its transaction; apps of higher floors register here at start-up.
organization_created: list[Callable[[Organization], None]] = []


class Registration(NamedTuple):
    user: User
    organization: Organization


def register(*, email: str, password: str, name: str, organization: str = "") -> Registration:
    """Create a user, their organization (named after them unless it has a name) and what hangs on a new one.

    Raises Problem ``email_taken`` or ``invalid_request`` for a weak password.
    """
    user = new_user(email=email, password=password, name=name)
    with transaction.atomic():
        save_new(user)
        mail.post(kind=Mail.Kind.VERIFY_EMAIL, to=user.email, subject_id=user.id)
        created = create_organization(name=organization or name, owner=user)
    return Registration(user, created)


def new_user(*, email: str, password: str, name: str) -> User:
    """A person who is not saved yet; hashes the password, which is too slow for a transaction.

    Raises Problem ``invalid_request`` for a weak password.
    """
    user = User(email=normalized(email), name=name)
    check_password_is_strong(password, user)
    user.password = make_password(password)
    return user


def save_new(user: User) -> None:
    """Raises Problem ``email_taken``."""
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError as error:
        raise Problem("email_taken") from error
    act_as(user)
    record("user:registered", organization_id=None, subject=user.id, changes={"email": user.email})


def normalized(email: str) -> str:
    """An address as it is stored: unique whatever its spelling."""
    return email.strip().lower()


def check_password_is_strong(password: str, user: User) -> None:
    """Raises Problem ``invalid_request``."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        errors = [FieldError("/password", e.code or "invalid", e.messages[0]) for e in error.error_list]
        raise Problem("invalid_request", "The password is too weak.", errors=errors) from error


@transaction.atomic
def create_organization(*, name: str, owner: User) -> Organization:
    """Create a tenant with its owner; apps above add theirs through ``organization_created``.

    Raises Problem ``too_many_organizations``.
    """
    if Membership.objects.filter(user=owner, role=Role.OWNER).count() >= MAX_ORGANIZATIONS:
        raise Problem("too_many_organizations", f"The limit is {MAX_ORGANIZATIONS}.", limit=MAX_ORGANIZATIONS)
    organization = Organization.objects.create(name=name)
    Membership.objects.create(organization=organization, user=owner, role=Role.OWNER)
    for handler in organization_created:
        handler(organization)
    record("organization:created", organization_id=organization.id, subject=organization.id, changes={"name": name})
    transaction.on_commit(authentication.forget)
    return organization


def act_as(user: User) -> None:
    """Note in the records who the caller has turned out to be."""
    context.bind(actor_kind="user", actor_id=user.id, actor_name=user.email)


def log_in(*, email: str, password: str, device: Device = NOWHERE) -> Tokens:
    """Raises Problem ``invalid_credentials``, the same for an unknown address and a wrong password."""
    user = User.objects.filter(email=normalized(email)).first()
    if user is None:
        # The same work as for a known address, so that the time tells nothing.
        make_password(password)
    if user is None or not user.check_password(password) or not user.is_active:
        subject, home = (user.id, home_of(user.id)) if user else ("", None)
        record("user:login_failed", organization_id=home, subject=subject, changes={"email": email[:254]})
        raise Problem("invalid_credentials", "The e-mail address or the password is wrong.", headers=CHALLENGE)
    act_as(user)
    with transaction.atomic():
        User.objects.filter(pk=user.pk).update(last_login=timezone.now())
        tokens = issue_tokens(user=user, device=device)
        record("user:logged_in", organization_id=home_of(user.id), subject=user.id)
    return tokens


def change_password(*, user: User, current_password: str, password: str, device: Device) -> Tokens:
    """Set a new password, which ends all sessions, browsers included, and begin a new one.

    Raises Problem ``invalid_request`` for a wrong or a weak password.
    """
    before = user.password
    _check_current(user, current_password)
    check_password_is_strong(password, user)
    user.set_password(password)
    with transaction.atomic():
        _save_password(user, before)
        record("user:password_changed", organization_id=home_of(user.id), subject=user.id)
        tokens = issue_tokens(user=user, device=device)
    return tokens


def _check_current(user: User, password: str) -> None:
    if not user.check_password(password):
        record("user:password_refused", organization_id=home_of(user.id), subject=user.id)
        raise invalid("/current_password", "wrong_password", "This is not your password.")


def _save_password(user: User, before: str) -> None:
    """Save a new password unless somebody has changed it meanwhile. Raises Problem ``invalid_link``."""
    if User.objects.select_for_update(no_key=True).get(pk=user.pk).password != before:
        raise email_tokens.invalid_token()
    user.save(update_fields=["password"])
    mail.post(kind=Mail.Kind.PASSWORD_CHANGED, to=user.email, subject_id=user.id)
    transaction.on_commit(authentication.forget)


def request_password_reset(*, email: str) -> None:
    """Have a link to choose a new password sent, if the address belongs to somebody."""
    email = normalized(email)
    with transaction.atomic():
        mail.post(kind=Mail.Kind.PASSWORD_RESET, to=email)
        record("user:password_reset_requested", organization_id=None, changes={"email": email})


def reset_password(*, token: str, password: str) -> User:
    """Set the password of whoever got the link; it works once. Ends all sessions.

    Raises Problem ``invalid_link``, or ``invalid_request`` for a weak password, after which the link still works.
    """
    user = email_tokens.user_of_reset(token)
    before = user.password
    check_password_is_strong(password, user)
    user.set_password(password)
    with transaction.atomic():
        _save_password(user, before)
        # The link was read at this address.
        User.objects.filter(pk=user.pk, email_verified_at=None).update(email_verified_at=timezone.now())
        act_as(user)
        record("user:password_reset", organization_id=home_of(user.id), subject=user.id)
    return user


def change_profile(*, user: User, name: str | None, email: str | None, current_password: str | None) -> User:
    """Change the name at once, and the e-mail address once the new one is verified; that needs the password.

    Whether the address belongs to somebody else is told to nobody but its owner. Raises Problem ``invalid_request``.
    """
    email = normalized(email) if email else None
    if email is not None:
        _check_current(user, current_password or "")
    changes: dict[str, str | None] = {"name": name} if name is not None else {}
    if email is not None:
        changes["pending_email"] = email if email != user.email else None
    with transaction.atomic():
        User.objects.filter(pk=user.pk).update(**changes)
        if changes.get("pending_email"):
            mail.post(kind=Mail.Kind.VERIFY_EMAIL, to=str(email), subject_id=user.id)
        if changes:
            record("user:changed", organization_id=home_of(user.id), subject=user.id, changes=changes)
    user.refresh_from_db()
    return user


def resend_verification(*, email: str) -> None:
    """Have the link to verify an address sent again, if somebody waits for it."""
    mail.post(kind=Mail.Kind.VERIFY_EMAIL, to=normalized(email))


def verify_email(*, token: str) -> User:
    """Note that a person reads what is sent to an address; a new address counts from now on.

    Raises Problem ``invalid_link``, also for a link that was used.
    """
    user_id, email = email_tokens.address_of(token)
    now = timezone.now()
    with transaction.atomic():
        user = User.objects.select_for_update(no_key=True).filter(pk=user_id, is_active=True).first()
        if user is None:
            raise email_tokens.invalid_token()
        if user.pending_email == email:
            _change_email(user, email)
        elif user.email == email and user.email_verified_at is None:
            User.objects.filter(pk=user.pk).update(email_verified_at=now)
            act_as(user)
            record("user:email_verified", organization_id=home_of(user.id), subject=user.id, changes={"email": email})
        else:
            raise email_tokens.invalid_token()
    transaction.on_commit(authentication.forget)
    user.refresh_from_db()
    return user


def _change_email(user: User, email: str) -> None:
    """Raises Problem ``invalid_link`` when somebody else has the address by now."""
    changes = {"email": email, "pending_email": None, "email_verified_at": timezone.now()}
    try:
        with transaction.atomic():
            User.objects.filter(pk=user.pk).update(**changes)
    except IntegrityError as error:
        raise email_tokens.invalid_token() from error
    mail.post(kind=Mail.Kind.EMAIL_CHANGED, to=user.email, subject_id=user.id)
    act_as(user)
    changed = {"email": [user.email, email]}
    record("user:email_changed", organization_id=home_of(user.id), subject=user.id, changes=changed)
