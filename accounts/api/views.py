from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access, services, sessions
from accounts.api.serializers import (
    KeyInput,
    LoginInput,
    RefreshInput,
    RegisterInput,
    key_data,
    organization_data,
    user_data,
)
from accounts.models import Membership, User
from accounts.permissions import actor_of
from config.api.pagination import Pages
from config.api.problems import Problem
from config.api.serializers import checked
from config.api.views import APIView


class PublicView(APIView):
    authentication_classes = ()
    permission_classes = ()
    rate_limits = ("auth", "email")
    idempotency = "afterwards"  # passwords are hashed slowly, and what a refusal writes must stay


class RegisterView(PublicView):
    def post(self, request: Request) -> Response:
        user, organization = services.register(**checked(RegisterInput, request))
        tokens = sessions.issue_tokens(user=user, device=sessions.device_of(request))
        body = {"user": user_data(user), "organization": organization_data(organization, "owner")}
        return Response(body | tokens._asdict(), status=201)


class LoginView(PublicView):
    def post(self, request: Request) -> Response:
        return Response(services.log_in(**checked(LoginInput, request), device=sessions.device_of(request))._asdict())


class RefreshView(PublicView):
    def post(self, request: Request) -> Response:
        return Response(sessions.refresh_tokens(**checked(RefreshInput, request))._asdict())


class MeView(APIView):
    scopes = {"GET": "read"}

    def get(self, request: Request) -> Response:
        if not isinstance(request.user, User):
            raise Problem("permission_denied", "An API key is no person; use an access token.")
        memberships = Membership.objects.filter(user=request.user).select_related("organization").order_by("id")
        organizations = [organization_data(m.organization, m.role) for m in memberships]
        return Response({"user": user_data(request.user), "organization": organizations[0]})


class KeysView(APIView):
    scopes = {"GET": "manage", "POST": "manage"}

    def get(self, request: Request) -> Response:
        pages = Pages()
        rows = pages.paginate_queryset(access.keys(actor_of(request)), request, self) or []
        return pages.get_paginated_response([key_data(row) for row in rows])

    def post(self, request: Request) -> Response:
        row, key = services.create_key(actor=actor_of(request), **checked(KeyInput, request))
        return Response(key_data(row) | {"key": key}, status=201)
