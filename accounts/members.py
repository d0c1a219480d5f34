"""Who belongs to an organization, and as what. The last owner stays."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction
from django.utils import timezone

from accounts import authentication
from accounts.actor import Actor
from accounts.models import ROLES_BELOW, Invitation, Membership, Permission, Role
from accounts.organizations import locked_members
from accounts.permissions import check_may
from audit.services import record
from config.api.problems import Problem


@transaction.atomic
def change_role(*, actor: Actor, member: Membership, role: str) -> Membership:
    """Give a member another role; theirs changes within a second. Idempotent.

    Raises Problem ``permission_denied`` for a role above the caller's own, ``last_owner``, and ``not_found`` for who
    has left meanwhile.
    """
    members = locked_members(actor.organization_id)
    now, before = _found(members, member), _found(members, member).role
    _check_rank(actor, members, before, role)
    if before == role:
        return now
    _check_owner_remains(members, now)
    Membership.objects.filter(pk=now.pk).update(role=role)
    now.role = role
    _revoke_invitations(now)
    changes = {"user": now.user_id, "role": [before, role]}
    record("member:role_changed", organization_id=now.organization_id, subject=now.id, changes=changes)
    transaction.on_commit(authentication.forget)
    return now


@transaction.atomic
def remove(*, actor: Actor, member: Membership) -> None:
    """Remove a member, or leave. Raises Problem ``permission_denied``, ``last_owner`` and ``not_found``."""
    members = locked_members(actor.organization_id)
    leaver = _found(members, member)
    if leaver.user_id != actor.id:
        check_may(actor, Permission.MEMBERS)
        _check_rank(actor, members, leaver.role)
    _check_owner_remains(members, leaver)
    leaver_id = leaver.id
    _revoke_invitations(leaver)
    leaver.delete()
    verb = "left" if leaver.user_id == actor.id else "removed"
    changes = {"user": leaver.user_id, "email": leaver.user.email, "role": leaver.role}
    record(f"member:{verb}", organization_id=actor.organization_id, subject=leaver_id, changes=changes)
    transaction.on_commit(authentication.forget)


def _revoke_invitations(member: Membership) -> None:
    """Whom somebody invited with rights that they have no longer is not to come in on them."""
    open_ = Invitation.objects.pending().filter(organization_id=member.organization_id, invited_by_id=member.user_id)
    open_.update(revoked_at=timezone.now())


def _found(members: Iterable[Membership], member: Membership) -> Membership:
    for one in members:
        if one.pk == member.pk:
            return one
    raise Problem("not_found", "There is no such member.")


def _check_rank(actor: Actor, members: Iterable[Membership], *roles: str) -> None:
    """By the role that the caller has now, not when the request began."""
    own = next((m.role for m in members if m.user_id == actor.id), None)
    if own is None or not set(roles) <= ROLES_BELOW[own]:
        raise Problem("permission_denied", "Nobody gives or takes a role above their own.")


def _check_owner_remains(members: Iterable[Membership], without: Membership) -> None:
    if without.role == Role.OWNER and not any(m.role == Role.OWNER and m.pk != without.pk for m in members):
        raise Problem("last_owner", "Make somebody else an owner first.")
