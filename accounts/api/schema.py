from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from accounts.api import views
from accounts.api.serializers import KeyInput, LoginInput, RefreshInput, RegisterInput
from accounts.models import Mode, Role, Scope
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
