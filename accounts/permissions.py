from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.exceptions import NotAuthenticated
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from accounts.actor import Actor
from accounts.models import KEY_SCOPES, Organization, Permission
from config.api.problems import Problem
from config.timestamps import iso

if TYPE_CHECKING:
    from rest_framework.views import APIView  # noqa: TID251 (only a type)


def actor_of(request: Request) -> Actor:
    """The caller. Raises NotAuthenticated."""
    if not isinstance(request.auth, Actor):
        raise NotAuthenticated
    return request.auth


def check_may(actor: Actor, scope: str) -> None:
    """Raises Problem ``missing_scope`` for a key and ``permission_denied`` for a person."""
    if actor.may(scope):
        return
    if actor.kind == "key":
        only_people = "" if scope in KEY_SCOPES else " Only people can have it: use an access token."
        raise Problem("missing_scope", f"This needs the scope {scope!r}.{only_people}", scope=scope)
    if not actor.organization_id:
        raise Problem("permission_denied", "You belong to no organization.", scope=scope)
    raise Problem("permission_denied", f"This needs the permission {scope!r}; you are {actor.role}.", scope=scope)


def check_not_suspended(actor: Actor) -> None:
    """Raises Problem ``organization_suspended``."""
    if actor.suspended:
        since = Organization.objects.filter(pk=actor.organization_id).values_list("suspended_at", flat=True).first()
        detail = "The organization is suspended: it can be read, but not changed, and its numbers are offline."
        raise Problem("organization_suspended", detail, reason=actor.suspended, since=iso(since))


class MayAct(BasePermission):
    """Each view names what each of its methods needs: ``scopes = {"GET": "read", "POST": "send"}``.

    A method without an entry is refused, so that a forgotten entry closes a door instead of opening one;
    a method that the view does not have is let through to its 405. A suspended organization is only read,
    but for methods in the view's ``while_suspended`` and what people do with their own account.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        actor = actor_of(request)
        method = "GET" if request.method == "HEAD" else (request.method or "")
        if method == "OPTIONS" or not hasattr(view, method.lower()):
            return True
        scope = getattr(view, "scopes", {}).get(method)
        if scope is None:
            return False
        check_may(actor, scope)
        always = method in SAFE_METHODS or scope == Permission.SELF
        if not always and method not in getattr(view, "while_suspended", ()):
            check_not_suspended(actor)
        return True
