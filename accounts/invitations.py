"""Asking somebody to join an organization by e-mail."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import authentication, email_tokens, mail
from accounts.actor import Actor
from accounts.models import ROLES_BELOW, Invitation, Mail, Membership, User
from accounts.services import act_as, new_user, normalized, save_new
from audit.services import record
from config.api.problems import Problem

# Each is an e-mail to a stranger in the name of this installation.
MAX_OPEN = 100


@transaction.atomic
def invite(*, actor: Actor, email: str, role: str) -> Invitation:
    """Send an invitation. Raises Problem ``permission_denied``, ``already_member``, ``already_invited`` and
    ``too_many_invitations``.
    """
    email = normalized(email)
    _check_rank(actor, role)
    if Membership.objects.filter(organization_id=actor.organization_id, user__email=email).exists():
        raise Problem("already_member")
    if Invitation.objects.pending().filter(organization_id=actor.organization_id).count() >= MAX_OPEN:
        raise Problem("too_many_invitations", f"The limit is {MAX_OPEN}.", limit=MAX_OPEN)
    now = timezone.now()
    same = Invitation.objects.filter(organization_id=actor.organization_id, email=email)
    same.filter(expires_at__lte=now, accepted_at=None, revoked_at=None).update(revoked_at=now)
    try:
        with transaction.atomic():
            invitation = Invitation.objects.create(
                organization_id=actor.organization_id,
                email=email,
                role=role,
                invited_by_id=actor.id,
                expires_at=now + email_tokens.INVITATION_LIFETIME,
            )
    except IntegrityError as error:
        raise Problem("already_invited", "Send the invitation again, or revoke it first.") from error
    mail.post(kind=Mail.Kind.INVITATION, to=email, subject_id=invitation.id)
    _record(invitation, "created")
    return invitation


@transaction.atomic
def resend(*, actor: Actor, invitation: Invitation) -> Invitation:
    """Send it again, good for another seven days. Raises Problem ``permission_denied`` and ``not_found``."""
    _check_rank(actor, invitation.role)
    expires_at = timezone.now() + email_tokens.INVITATION_LIFETIME
    if not Invitation.objects.pending().filter(pk=invitation.pk).update(expires_at=expires_at):
        raise Problem("not_found", "There is no such invitation.")
    invitation.expires_at = expires_at
    mail.post(kind=Mail.Kind.INVITATION, to=invitation.email, subject_id=invitation.id)
    _record(invitation, "resent")
    return invitation


@transaction.atomic
def revoke(*, actor: Actor, invitation: Invitation) -> None:
    """Take it back; its link ends. Idempotent. Raises Problem ``permission_denied``."""
    _check_rank(actor, invitation.role)
    if Invitation.objects.pending().filter(pk=invitation.pk).update(revoked_at=timezone.now()):
        _record(invitation, "revoked")


def accept(*, user: User, token: str) -> Membership:
    """Join as a person with the invited address, which counts as verified then.

    Raises Problem ``invalid_link``, and ``permission_denied`` for somebody else.
    """
    invitation = _pending(token)
    if user.email != invitation.email:
        raise Problem("permission_denied", "The invitation is for another e-mail address.")
    with transaction.atomic():
        return _join(user, invitation)


def accept_as_new(*, token: str, name: str, password: str) -> Membership:
    """Join as a new person; the invitation proves the address.

    Raises Problem ``invalid_link``, ``email_taken`` and ``invalid_request`` for a weak password.
    """
    invitation = _pending(token)
    user = new_user(email=invitation.email, password=password, name=name)
    with transaction.atomic():
        save_new(user)
        return _join(user, invitation)


def invited(*, token: str) -> Invitation:
    """What the link in an e-mail is about. Raises Problem ``invalid_link``."""
    return _pending(token)


def _pending(token: str) -> Invitation:
    pending = Invitation.objects.pending().select_related("organization")
    invitation = pending.filter(pk=email_tokens.invitation_of(token)).first()
    if invitation is None:
        raise email_tokens.invalid_token()
    return invitation


def _join(user: User, invitation: Invitation) -> Membership:
    now = timezone.now()
    if not Invitation.objects.pending().filter(pk=invitation.pk).update(accepted_at=now):
        raise email_tokens.invalid_token()
    if user.email_verified_at is None:
        user.email_verified_at = now
        user.save(update_fields=["email_verified_at"])
    membership, joined = Membership.objects.get_or_create(
        organization_id=invitation.organization_id, user=user, defaults={"role": invitation.role}
    )
    act_as(user)
    if joined:
        changes = {"user": user.id, "email": user.email, "role": membership.role}
        record("member:joined", organization_id=invitation.organization_id, subject=membership.id, changes=changes)
        transaction.on_commit(authentication.forget)
    return membership


def _check_rank(actor: Actor, role: str) -> None:
    if role not in ROLES_BELOW.get(actor.role or "", ()):
        raise Problem("permission_denied", "Nobody gives or takes a role above their own.")


def _record(invitation: Invitation, verb: str) -> None:
    changes = {"email": invitation.email, "role": invitation.role}
    record(f"invitation:{verb}", organization_id=invitation.organization_id, subject=invitation.id, changes=changes)
