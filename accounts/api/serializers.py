from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from accounts.api_keys import MAX_OVERLAP
from accounts.models import ApiKey, Invitation, Membership, Mode, Organization, Role, Scope, Session, User
from config.api.serializers import Id, Input, Text, WholeNumber
from config.timestamps import iso


class Network(Text):
    """An address or a network in CIDR notation; the value is the network."""

    default_error_messages = {"network": "This is neither an IP address nor a network such as 192.0.2.0/24."}

    def to_internal_value(self, data: Any) -> str:
        try:
            return str(ipaddress.ip_network(super().to_internal_value(data)))
        except ValueError:
            self.fail("network")


class FutureMoment(Text):
    """ISO 8601 with a time zone."""

    default_error_messages = {
        "moment": "This is no time such as 2030-01-31T12:00:00Z.",
        "past": "It has passed.",
    }
    json_schema = {"format": "date-time"}

    def to_internal_value(self, data: Any) -> datetime:  # type: ignore[override]
        try:
            moment = datetime.fromisoformat(super().to_internal_value(data))
            if moment.tzinfo is None:
                self.fail("moment")
            moment = moment.astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail("moment")
        if moment <= timezone.now():
            self.fail("past")
        return moment


def _email() -> serializers.EmailField:
    return serializers.EmailField(max_length=254)


def _password() -> Text:
    return Text(max_length=256, trim_whitespace=False)


class RegisterInput(Input):
    email = _email()
    password = _password()
    name = Text(max_length=100)
    organization = Text(max_length=100, required=False)


class LoginInput(Input):
    email = Text(max_length=254)
    password = _password()


class RefreshInput(Input):
    refresh = Text(max_length=4096)


class LogoutInput(Input):
    refresh = Text(max_length=4096, required=False)


class ProfileInput(Input):
    name = Text(max_length=100, required=False)
    email = serializers.EmailField(max_length=254, required=False)
    current_password = Text(max_length=256, trim_whitespace=False, required=False)


class ChangePasswordInput(Input):
    current_password = _password()
    password = _password()


class EmailInput(Input):
    email = _email()


class TokenInput(Input):
    token = Text(max_length=4096)


class ResetInput(Input):
    token = Text(max_length=4096)
    password = _password()


class OrganizationInput(Input):
    name = Text(max_length=100)


class TransferInput(Input):
    member = Id("mem")


class RoleInput(Input):
    role = serializers.ChoiceField(choices=Role.choices)


class InvitationInput(Input):
    email = _email()
    role = serializers.ChoiceField(choices=Role.choices)


class AcceptInput(Input):
    token = Text(max_length=4096)
    name = Text(max_length=100, required=False)
    password = Text(max_length=256, trim_whitespace=False, required=False)


class KeyInput(Input):
    name = Text(max_length=100)
    mode = serializers.ChoiceField(choices=Mode.choices)
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=Scope.choices), min_length=1, max_length=8)
    instances = serializers.ListField(child=Id("ins"), min_length=1, max_length=100, allow_null=True, required=False)
    allowed_ips = serializers.ListField(child=Network(), min_length=1, max_length=50, allow_null=True, required=False)
    expires_at = FutureMoment(allow_null=True, required=False)


class KeyChange(Input):
    name = Text(max_length=100)


class RotateInput(Input):
    overlap_seconds = WholeNumber(min_value=0, max_value=int(MAX_OVERLAP.total_seconds()))


def user_data(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "email": user.email,
        "email_verified": user.email_verified_at is not None,
        "pending_email": user.pending_email,
        "name": user.name,
    }


def organization_data(organization: Organization, role: str | None = None) -> dict[str, Any]:
    suspended = None
    if organization.suspended_at:
        suspended = {"reason": organization.suspended_reason, "since": iso(organization.suspended_at)}
    data = {
        "id": organization.id,
        "name": organization.name,
        "created_at": iso(organization.created_at),
        "suspended": suspended,
    }
    return data | ({"role": role} if role else {})


def member_data(member: Membership) -> dict[str, Any]:
    user = {"id": member.user_id, "email": member.user.email, "name": member.user.name}
    return {"id": member.id, "user": user, "role": member.role, "created_at": iso(member.created_at)}


def invitation_data(invitation: Invitation) -> dict[str, Any]:
    return {
        "id": invitation.id,
        "email": invitation.email,
        "role": invitation.role,
        "invited_by": invitation.invited_by_id,
        "created_at": iso(invitation.created_at),
        "expires_at": iso(invitation.expires_at),
    }


def session_data(session: Session, current: str | None) -> dict[str, Any]:
    return {
        "id": session.id,
        "current": session.id == current,
        "browser": session.browser_key is not None,
        "address": session.address,
        "user_agent": session.user_agent,
        "created_at": iso(session.created_at),
        "last_used_at": iso(session.last_used_at),
        "expires_at": iso(session.expires_at),
    }


def key_data(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "mode": key.mode,
        "scopes": key.scopes,
        "instances": key.instances,
        "allowed_ips": key.allowed_ips,
        "prefix": f"wak_{key.mode}_{key.prefix}",
        "revoked": key.revoked,
        "expires_at": iso(key.expiry_date),
        "last_used_at": iso(key.last_used_at),
        "created_at": iso(key.created),
    }
