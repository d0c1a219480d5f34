"""The organization that the caller acts for, and who belongs to it."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access, invitations, members, organizations, services, sessions
from accounts.api.serializers import (
    AcceptInput,
    InvitationInput,
    OrganizationInput,
    RoleInput,
    TransferInput,
    invitation_data,
    member_data,
    organization_data,
    user_data,
)
from accounts.authentication import person
from accounts.models import Permission
from accounts.permissions import actor_of, check_may
from config.api.pagination import Pages
from config.api.problems import FieldError, Problem
from config.api.serializers import checked
from config.api.views import APIView


class OrganizationsView(APIView):
    scopes = {"GET": "self", "POST": "self"}

    def get(self, request: Request) -> Response:
        pages = Pages()
        rows = pages.paginate_queryset(access.memberships(actor_of(request)), request, self) or []
        return pages.get_paginated_response([organization_data(row.organization, row.role) for row in rows])

    def post(self, request: Request) -> Response:
        owner = person(actor_of(request))
        organization = services.create_organization(owner=owner, **checked(OrganizationInput, request))
        return Response(organization_data(organization, "owner"), status=201)


class OrganizationView(APIView):
    scopes = {"GET": "read", "PATCH": "own"}

    def get(self, request: Request) -> Response:
        actor = actor_of(request)
        return Response(organization_data(access.organization(actor), actor.role))

    def patch(self, request: Request) -> Response:
        actor = actor_of(request)
        organization = organizations.rename(
            organization=access.organization(actor), **checked(OrganizationInput, request)
        )
        return Response(organization_data(organization, actor.role))


class TransferView(APIView):
    scopes = {"POST": "own"}

    def post(self, request: Request) -> Response:
        actor = actor_of(request)
        member = access.member(actor, checked(TransferInput, request)["member"])
        organizations.transfer(actor=actor, member=member)
        return Response(member_data(access.member(actor, member.id)))


class MembersView(APIView):
    scopes = {"GET": "team"}

    def get(self, request: Request) -> Response:
        pages = Pages()
        rows = pages.paginate_queryset(access.members(actor_of(request)), request, self) or []
        return pages.get_paginated_response([member_data(row) for row in rows])


class MemberView(APIView):
    scopes = {"PATCH": "members", "DELETE": "team"}
    while_suspended = {"DELETE"}

    def patch(self, request: Request, member_id: str) -> Response:
        actor = actor_of(request)
        member = access.member(actor, member_id)
        return Response(member_data(members.change_role(actor=actor, member=member, **checked(RoleInput, request))))

    def delete(self, request: Request, member_id: str) -> Response:
        actor = actor_of(request)
        members.remove(actor=actor, member=access.member(actor, member_id))
        return Response(status=204)


class InvitationsView(APIView):
    scopes = {"GET": "members", "POST": "members"}

    def get(self, request: Request) -> Response:
        pages = Pages()
        rows = pages.paginate_queryset(access.invitations(actor_of(request)), request, self) or []
        return pages.get_paginated_response([invitation_data(row) for row in rows])

    def post(self, request: Request) -> Response:
        invitation = invitations.invite(actor=actor_of(request), **checked(InvitationInput, request))
        return Response(invitation_data(invitation), status=201)


class InvitationView(APIView):
    scopes = {"DELETE": "members"}
    while_suspended = {"DELETE"}

    def delete(self, request: Request, invitation_id: str) -> Response:
        actor = actor_of(request)
        invitations.revoke(actor=actor, invitation=access.invitation(actor, invitation_id))
        return Response(status=204)


class ResendInvitationView(APIView):
    scopes = {"POST": "members"}

    def post(self, request: Request, invitation_id: str) -> Response:
        actor = actor_of(request)
        invitation = invitations.resend(actor=actor, invitation=access.invitation(actor, invitation_id))
        return Response(invitation_data(invitation), status=202)


class AcceptInvitationView(APIView):
    """As whoever is logged in, or as a new person with a name and a password."""

    permission_classes = ()
    idempotency = "afterwards"
    rate_limits = ("auth",)

    def post(self, request: Request) -> Response:
        given = checked(AcceptInput, request)
        if request.auth is None:
            return _accepted_as_new(request, given)
        check_may(actor_of(request), Permission.SELF)
        membership = invitations.accept(user=person(actor_of(request)), token=given["token"])
        return Response({"organization": organization_data(membership.organization, membership.role)})


def _accepted_as_new(request: Request, given: dict[str, str]) -> Response:
    missing = [field for field in ("name", "password") if field not in given]
    if missing:
        errors = [FieldError(f"/{field}", "required", "A new person needs this.") for field in missing]
        raise Problem("invalid_request", "Log in, or give a name and a password.", errors=errors)
    membership = invitations.accept_as_new(**given)
    tokens = sessions.issue_tokens(user=membership.user, device=sessions.device_of(request))
    organization = organization_data(membership.organization, membership.role)
    body = {"user": user_data(membership.user), "organization": organization}
    return Response(body | tokens._asdict(), status=201)
