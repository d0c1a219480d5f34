from __future__ import annotations

from typing import Annotated, Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from msgspec import UNSET, Meta, UnsetType

from accounts.api import key_views, organization_views, views
from accounts.api.serializers import (
    AcceptInput,
    ChangePasswordInput,
    EmailInput,
    InvitationInput,
    KeyChange,
    KeyInput,
    LoginInput,
    LogoutInput,
    OrganizationInput,
    ProfileInput,
    RefreshInput,
    RegisterInput,
    ResetInput,
    RoleInput,
    RotateInput,
    TokenInput,
    TransferInput,
)
from accounts.authentication import Credentials
from accounts.models import KEY_SCOPES, Mode, Role, Scope, SuspensionReason
from config.api.operations import Moment, Operation, Operations, Page, Shape, Tag, identifier


class User(Shape):
    id: Annotated[str, identifier("usr")]
    email: str
    email_verified: bool
    pending_email: Annotated[str | None, Meta(description="Counts as soon as it is verified.")]
    name: str


class Suspension(Shape):
    reason: SuspensionReason
    since: Moment


class Organization(Shape):
    id: Annotated[str, identifier("org")]
    name: str
    created_at: Moment
    suspended: Suspension | None
    role: Annotated[Role, Meta(description="Yours in it.")] | UnsetType = UNSET


class OrganizationPage(Page[Organization]):
    pass


class Me(Shape):
    """`organization` is the one that this request acts for."""

    user: User
    organization: Organization | None
    organizations: list[Organization]


class Tokens(Shape):
    """`access` lasts 15 minutes; `refresh` works once, within 7 days."""

    access: str
    refresh: str


class Registered(Shape):
    user: User
    organization: Organization
    access: str
    refresh: str


class Verified(Shape):
    user: User


class OnItsWay(Shape):
    detail: str


class Session(Shape):
    """A login. `browser` tells one on a page from one with tokens."""

    id: Annotated[str, identifier("ses")]
    current: Annotated[bool, Meta(description="The one that this request belongs to.")]
    browser: bool
    address: str
    user_agent: str
    created_at: Moment
    last_used_at: Annotated[Moment, Meta(description="When tokens were last issued.")]
    expires_at: Moment


class SessionPage(Page[Session]):
    pass


class Colleague(Shape):
    id: Annotated[str, identifier("usr")]
    email: str
    name: str


class Member(Shape):
    id: Annotated[str, identifier("mem")]
    user: Colleague
    role: Role
    created_at: Moment


class MemberPage(Page[Member]):
    pass


class Invitation(Shape):
    id: Annotated[str, identifier("inv")]
    email: str
    role: Role
    invited_by: Annotated[str, identifier("usr")] | None
    created_at: Moment
    expires_at: Moment


class InvitationPage(Page[Invitation]):
    pass


class Joined(Shape):
    organization: Organization


class Key(Shape):
    """`instances` and `allowed_ips` are the only ones that the key reaches and may be used from, null for all."""

    id: Annotated[str, identifier("key")]
    name: str
    mode: Mode
    scopes: list[Scope]
    instances: list[Annotated[str, identifier("ins")]] | None
    allowed_ips: list[str] | None
    prefix: Annotated[str, Meta(description="How the key begins.", examples=["wak_test_5eZ0aq3mXyT1"])]
    revoked: bool
    expires_at: Moment | None
    last_used_at: Annotated[Moment | None, Meta(description="To the minute.")]
    created_at: Moment


class NewKey(Key):
    key: Annotated[str, Meta(description="The key itself, shown this once.")]


class KeyPage(Page[Key]):
    pass


class CredentialsSchema(OpenApiAuthenticationExtension):
    target_class = Credentials
    name = ["accessToken", "apiKey"]

    def get_security_definition(self, auto_schema: AutoSchema) -> list[dict[str, Any]]:
        return [
            {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "A person's access token. An API key works here as well.",
            },
            {
                "type": "apiKey",
                "in": "header",
                "name": "X-API-Key",
                "description": "An API key of a program: `wak_test_…` or `wak_live_…`.",
            },
        ]

    def get_security_requirement(self, auto_schema: AutoSchema) -> list[dict[str, list[Any]]]:
        scope = getattr(auto_schema.view, "scopes", {}).get(auto_schema.method)
        return [{name: []} for name in (self.name if scope is None or scope in KEY_SCOPES else self.name[:1])]


_EMAIL, _PASSWORD = "alice@example.com", "correct horse battery staple"
_TOKEN = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9…"  # noqa: S105 (an example)
_ORGANIZATION = "`X-Organization` chooses among several."
TAG = Tag("Accounts", "People, their sessions and organizations, members, invitations and API keys.")
OPERATIONS: Operations = {
    views.RegisterView.post: Operation(
        "Register",
        "Makes a person, their organization and its Basic subscription, and sends an e-mail to verify the address.",
        body=RegisterInput,
        answers={201: Registered},
        problems=["email_taken"],
        example={"email": _EMAIL, "password": _PASSWORD, "name": "Alice", "organization": "Acme"},
    ),
    views.LoginView.post: Operation(
        "Log in",
        body=LoginInput,
        answers={200: Tokens},
        problems=["invalid_credentials"],
        example={"email": _EMAIL, "password": _PASSWORD},
    ),
    views.RefreshView.post: Operation(
        "Exchange a refresh token for new tokens",
        "Each works once. A second use tells of a theft and ends the session, with all tokens that descend from it.",
        body=RefreshInput,
        answers={200: Tokens},
        problems=["invalid_token"],
        example={"refresh": _TOKEN},
    ),
    views.LogoutView.post: Operation(
        "Log out",
        "Ends the session of the access token, or of the refresh token in the body, which needs no other credentials.",
        body=LogoutInput,
        body_required=False,
        answers={204: None},
        problems=[
            "not_authenticated",
            "invalid_credentials",
            "invalid_token",
            "missing_scope",
            "csrf_failed",
            "not_found",
        ],
        example={"refresh": _TOKEN},
    ),
    views.LogoutEverywhereView.post: Operation("End all of one's sessions", answers={204: None}),
    views.SessionsView.get: Operation("List one's sessions", answers={200: SessionPage}, paged=True),
    views.SessionView.delete: Operation("End one of one's sessions", answers={204: None}),
    views.MeView.get: Operation("Who am I?", answers={200: Me}),
    views.MeView.patch: Operation(
        "Change one's name or e-mail address",
        "A new address needs `current_password`, and counts once it is verified by the link that is sent there.",
        body=ProfileInput,
        body_required=False,
        answers={200: Me},
        example={"name": "Alice"},
    ),
    views.ChangePasswordView.post: Operation(
        "Change the password",
        "Ends all sessions and answers with the tokens of a new one.",
        body=ChangePasswordInput,
        answers={200: Tokens},
        problems=["invalid_link"],
        example={"current_password": _PASSWORD, "password": "a new and long one"},
    ),
    views.VerifyEmailView.post: Operation(
        "Verify an e-mail address",
        "With the `token` of the link that was sent there.",
        body=TokenInput,
        answers={200: Verified},
        problems=["invalid_link"],
        example={"token": _TOKEN},
    ),
    views.ResendVerificationView.post: Operation(
        "Send the link to verify an address again",
        body=EmailInput,
        answers={202: OnItsWay},
        example={"email": _EMAIL},
    ),
    views.PasswordResetView.post: Operation(
        "Send a link to choose a new password",
        "The answer is the same whether the address is known or not.",
        body=EmailInput,
        answers={202: OnItsWay},
        example={"email": _EMAIL},
    ),
    views.ConfirmPasswordResetView.post: Operation(
        "Choose a new password",
        "With the `token` of the link; it works once, within an hour. Ends all sessions.",
        body=ResetInput,
        answers={204: None},
        problems=["invalid_link"],
        example={"token": _TOKEN, "password": _PASSWORD},
    ),
    organization_views.OrganizationsView.get: Operation(
        "List one's organizations", answers={200: OrganizationPage}, paged=True
    ),
    organization_views.OrganizationsView.post: Operation(
        "Create another organization",
        "Its creator owns it. " + _ORGANIZATION,
        body=OrganizationInput,
        answers={201: Organization},
        problems=["too_many_organizations"],
        example={"name": "Acme"},
    ),
    organization_views.OrganizationView.get: Operation(
        "The organization that the request acts for", _ORGANIZATION, answers={200: Organization}
    ),
    organization_views.OrganizationView.patch: Operation(
        "Rename the organization", body=OrganizationInput, answers={200: Organization}, example={"name": "Acme"}
    ),
    organization_views.TransferView.post: Operation(
        "Give the organization to another member",
        "Who gives it away stays as an admin.",
        body=TransferInput,
        answers={200: Member},
        problems=["not_found"],
        example={"member": "mem_01h455vb4pex5vsknk084sn02q"},
    ),
    organization_views.MembersView.get: Operation("List the members", answers={200: MemberPage}, paged=True),
    organization_views.MemberView.patch: Operation(
        "Change a member's role",
        "Nobody gives or takes a role above their own.",
        body=RoleInput,
        answers={200: Member},
        problems=["last_owner"],
        example={"role": "member"},
    ),
    organization_views.MemberView.delete: Operation(
        "Remove a member, or leave", "Others are removed by admins.", answers={204: None}, problems=["last_owner"]
    ),
    organization_views.InvitationsView.get: Operation(
        "List open invitations", answers={200: InvitationPage}, paged=True
    ),
    organization_views.InvitationsView.post: Operation(
        "Invite somebody by e-mail",
        body=InvitationInput,
        answers={201: Invitation},
        problems=["already_member", "already_invited", "too_many_invitations"],
        example={"email": "bob@example.com", "role": "member"},
    ),
    organization_views.InvitationView.delete: Operation("Revoke an invitation", answers={204: None}),
    organization_views.ResendInvitationView.post: Operation(
        "Send an invitation again", "It is good for another seven days.", answers={202: Invitation}
    ),
    organization_views.AcceptInvitationView.post: Operation(
        "Accept an invitation",
        "As the logged-in person with that address, or as a new one with `name` and `password`, who is then logged in.",
        body=AcceptInput,
        answers={200: Joined, 201: Registered},
        problems=[
            *("invalid_link", "not_authenticated", "invalid_credentials", "invalid_token", "permission_denied"),
            *("missing_scope", "csrf_failed", "not_found", "email_taken"),
        ],
        example={"token": _TOKEN, "name": "Bob", "password": _PASSWORD},
    ),
    key_views.KeysView.get: Operation("List API keys", answers={200: KeyPage}, paged=True),
    key_views.KeysView.post: Operation(
        "Create an API key",
        body=KeyInput,
        answers={201: NewKey},
        example={"name": "Shop", "mode": "test", "scopes": ["read", "send"]},
    ),
    key_views.KeyView.get: Operation("One API key", answers={200: Key}),
    key_views.KeyView.patch: Operation(
        "Rename an API key", body=KeyChange, answers={200: Key}, example={"name": "Shop"}
    ),
    key_views.KeyView.delete: Operation(
        "Revoke an API key",
        "It ends within a second everywhere. Idempotent.",
        answers={204: None},
    ),
    key_views.RotateKeyView.post: Operation(
        "Replace an API key by a new one with the same rights",
        "The old one works for another `overlap_seconds`, at most seven days.",
        body=RotateInput,
        answers={201: NewKey},
        problems=["key_ended"],
        example={"overlap_seconds": 86400},
    ),
}
