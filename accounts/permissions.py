from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.exceptions import NotAuthenticated
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.actor import Actor
from config.api.problems import Problem

if TYPE_CHECKING:
    from rest_framework.views import APIView


def actor_of(request: Request) -> Actor:
    """The caller. Raises NotAuthenticated."""
    if not isinstance(request.auth, Actor):
        raise NotAuthenticated
    return request.auth


class MayAct(BasePermission):
    """Each view names the scope each of its methods needs: ``scopes = {"GET": "read", "POST": "send"}``.

    A method without an entry is refused, so that a forgotten entry closes a door instead of opening one;
    a method that the view does not have is let through to its 405.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        actor = actor_of(request)
        method = "GET" if request.method == "HEAD" else request.method
        if method == "OPTIONS" or not hasattr(view, (method or "").lower()):
            return True
        scope = getattr(view, "scopes", {}).get(method)
        if scope is None:
            return False
        if not actor.may(scope):
            raise Problem("missing_scope", f"This needs the scope {scope!r}.", scope=scope)
        return True
