"""A person's own account: logging in and out, and all that needs no organization."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import logout
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access, services, sessions
from accounts.api.serializers import (
    ChangePasswordInput,
    EmailInput,
    LoginInput,
    LogoutInput,
    ProfileInput,
    RefreshInput,
    RegisterInput,
    ResetInput,
    TokenInput,
    organization_data,
    session_data,
    user_data,
)
from accounts.authentication import person
from accounts.models import Permission, Session, User
from accounts.permissions import actor_of, check_may
from config.api import limits
from config.api.pagination import Pages
from config.api.serializers import checked
from config.api.views import APIView

ON_ITS_WAY = {"detail": "If the address is known here, an e-mail is on its way."}


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


class LogoutView(APIView):
    """By the credentials of the request, or by a refresh token in the body, which needs no others."""

    permission_classes = ()
    rate_limits = ("auth",)

    def perform_authentication(self, request: Request) -> None:
        if isinstance(request.data, dict) and "refresh" in request.data:
            request.authenticators = ()  # an expired access token is no obstacle to who has the refresh token
        super().perform_authentication(request)

    def post(self, request: Request) -> Response:
        refresh = checked(LogoutInput, request).get("refresh")
        if refresh is not None:
            sessions.log_out(refresh=refresh)
            return Response(status=204)
        actor = actor_of(request)
        check_may(actor, Permission.SELF)
        sessions.end(user_id=actor.id, session_id=str(actor.session_id), reason=Session.Revoked.LOGOUT)
        if hasattr(request._request, "session"):
            logout(request._request)
        return Response(status=204)


class LogoutEverywhereView(APIView):
    scopes = {"POST": "self"}

    def post(self, request: Request) -> Response:
        sessions.end_all(user_id=actor_of(request).id)
        return Response(status=204)


class SessionsView(APIView):
    scopes = {"GET": "self"}

    def get(self, request: Request) -> Response:
        pages, actor = Pages(), actor_of(request)
        rows = pages.paginate_queryset(access.sessions(actor), request, self) or []
        return pages.get_paginated_response([session_data(row, actor.session_id) for row in rows])


class SessionView(APIView):
    scopes = {"DELETE": "self"}

    def delete(self, request: Request, session_id: str) -> Response:
        session = access.session(actor_of(request), session_id)
        sessions.end(user_id=session.user_id, session_id=session.id, reason=Session.Revoked.REVOKED)
        return Response(status=204)


class MeView(APIView):
    scopes = {"GET": "self", "PATCH": "self"}

    def get(self, request: Request) -> Response:
        return Response(_me(request, person(actor_of(request))))

    def patch(self, request: Request) -> Response:
        changes: dict[str, Any] = {"name": None, "email": None, "current_password": None}
        changes |= checked(ProfileInput, request)
        user = person(actor_of(request))
        if changes["current_password"] is not None:
            _count_guess(request, user)
        return Response(_me(request, services.change_profile(user=user, **changes)))


def _count_guess(request: Request, user: User) -> None:
    """A stolen access token is not to be used to guess at the password. Raises Problem ``rate_limited``."""
    limits.check_stranger(request._request, "auth")
    limits.check_email(request._request, user.email)


def _me(request: Request, user: User) -> dict[str, Any]:
    actor = actor_of(request)
    organizations = [organization_data(m.organization, m.role) for m in access.memberships(actor)]
    current = [one for one in organizations if one["id"] == actor.organization_id]
    return {"user": user_data(user), "organization": current[0] if current else None, "organizations": organizations}


class ChangePasswordView(APIView):
    scopes = {"POST": "self"}
    rate_limits = ("auth",)  # the old password could be guessed at with a stolen token
    idempotency = "afterwards"

    def post(self, request: Request) -> Response:
        user, device = person(actor_of(request)), sessions.device_of(request)
        _count_guess(request, user)
        tokens = services.change_password(user=user, device=device, **checked(ChangePasswordInput, request))
        return Response(tokens._asdict())


class VerifyEmailView(PublicView):
    def post(self, request: Request) -> Response:
        return Response({"user": user_data(services.verify_email(**checked(TokenInput, request)))})


class ResendVerificationView(PublicView):
    def post(self, request: Request) -> Response:
        services.resend_verification(**checked(EmailInput, request))
        return Response(ON_ITS_WAY, status=202)


class PasswordResetView(PublicView):
    def post(self, request: Request) -> Response:
        services.request_password_reset(**checked(EmailInput, request))
        return Response(ON_ITS_WAY, status=202)


class ConfirmPasswordResetView(PublicView):
    def post(self, request: Request) -> Response:
        services.reset_password(**checked(ResetInput, request))
        return Response(status=204)
