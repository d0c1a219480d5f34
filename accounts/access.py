"""The only way to a tenant's keys and people. A foreign or broken id is the same 404 as a missing one."""

from __future__ import annotations

from typing import TypeVar

from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db.models import Model, QuerySet

from accounts.actor import Actor
from accounts.models import ApiKey, Invitation, Membership, Organization, Session
from config.api.problems import Problem

M = TypeVar("M", bound=Model)


def _one(rows: QuerySet[M], id_: str, name: str) -> M:
    """Raises Problem ``not_found``."""
    try:
        return rows.get(pk=id_)
    except (ObjectDoesNotExist, ValidationError) as error:
        raise Problem("not_found", f"There is no such {name}.") from error


def organization(actor: Actor) -> Organization:
    """The one that the caller acts for. Raises Problem ``not_found``."""
    return _one(Organization.objects.all(), actor.organization_id, "organization")


def memberships(actor: Actor) -> QuerySet[Membership]:
    """A person's own, in every organization; first joined first."""
    return Membership.objects.filter(user_id=actor.id).select_related("organization").order_by("id")


def keys(actor: Actor) -> QuerySet[ApiKey]:
    return ApiKey.objects.filter(organization_id=actor.organization_id)


def key(actor: Actor, key_id: str) -> ApiKey:
    """Raises Problem ``not_found``."""
    return _one(keys(actor), key_id, "API key")


def members(actor: Actor) -> QuerySet[Membership]:
    return Membership.objects.filter(organization_id=actor.organization_id).select_related("user")


def member(actor: Actor, member_id: str) -> Membership:
    """Raises Problem ``not_found``."""
    return _one(members(actor), member_id, "member")


def invitations(actor: Actor) -> QuerySet[Invitation]:
    """Those that are still open."""
    return Invitation.objects.pending().filter(organization_id=actor.organization_id)


def invitation(actor: Actor, invitation_id: str) -> Invitation:
    """Raises Problem ``not_found``."""
    return _one(invitations(actor), invitation_id, "invitation")


def sessions(actor: Actor) -> QuerySet[Session]:
    """The person's own that have not ended, in whatever organization."""
    return Session.objects.live().filter(user_id=actor.id)


def session(actor: Actor, session_id: str) -> Session:
    """Raises Problem ``not_found``."""
    return _one(sessions(actor), session_id, "session")
