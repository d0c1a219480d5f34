from __future__ import annotations

from typing import Annotated, Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from msgspec import UNSET, Meta, UnsetType

from accounts.api import views
from accounts.api.serializers import KeyInput, LoginInput, RefreshInput, RegisterInput
from accounts.authentication import Credentials
from accounts.models import KEY_SCOPES, Mode, Role, Scope
from config.api.operations import Moment, Operation, Operations, Page, Shape, identifier


class User(Shape):
    id: Annotated[str, identifier("usr")]
    email: str
    name: str


class Organization(Shape):
    id: Annotated[str, identifier("org")]
    name: str
    created_at: Moment
    role: Annotated[Role, Meta(description="Yours in it.")] | UnsetType = UNSET


class Me(Shape):
    user: User
    organization: Organization


class Tokens(Shape):
    """`access` lasts 15 minutes; `refresh` works once, within 7 days."""

    access: str
    refresh: str


class Registered(Shape):
    user: User
    organization: Organization
    access: str
    refresh: str


class Key(Shape):
    id: Annotated[str, identifier("key")]
    name: str
    mode: Mode
    scopes: list[Scope]
    prefix: Annotated[str, Meta(description="How the key begins.", examples=["wak_test_5eZ0aq3mXyT1"])]
    revoked: bool
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
        return [{name: []} for name in (self.name if scope in KEY_SCOPES else self.name[:1])]


_EMAIL, _PASSWORD = "alice@example.com", "correct horse battery staple"
OPERATIONS: Operations = {
    views.RegisterView.post: Operation(
        "Register",
        "Makes a person, their organization and its Basic subscription.",
        body=RegisterInput,
        answers={201: Registered},
        problems=["email_taken"],
        example={"email": _EMAIL, "password": _PASSWORD, "name": "Alice"},
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
        body=RefreshInput,
        answers={200: Tokens},
        problems=["invalid_token"],
        example={"refresh": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9…"},
    ),
    views.MeView.get: Operation("Who am I?", answers={200: Me}),
    views.KeysView.get: Operation("List API keys", answers={200: KeyPage}, paged=True),
    views.KeysView.post: Operation(
        "Create an API key",
        body=KeyInput,
        answers={201: NewKey},
        example={"name": "Shop", "mode": "test", "scopes": ["read", "send"]},
    ),
}
