from __future__ import annotations

from typing import Any

from rest_framework import serializers

from accounts.models import ApiKey, Mode, Organization, Scope, User
from config.api.serializers import Input, Text
from config.timestamps import iso


class RegisterInput(Input):
    email = serializers.EmailField(max_length=254)
    password = Text(max_length=256, trim_whitespace=False)
    name = Text(max_length=100)


class LoginInput(Input):
    email = Text(max_length=254)
    password = Text(max_length=256, trim_whitespace=False)


class RefreshInput(Input):
    refresh = Text(max_length=4096)


class KeyInput(Input):
    name = Text(max_length=100)
    mode = serializers.ChoiceField(choices=Mode.choices)
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=Scope.choices), min_length=1, max_length=8)


def user_data(user: User) -> dict[str, Any]:
    return {"id": user.id, "email": user.email, "name": user.name}


def organization_data(organization: Organization, role: str | None = None) -> dict[str, Any]:
    data = {"id": organization.id, "name": organization.name, "created_at": iso(organization.created_at)}
    return data | ({"role": role} if role else {})


def key_data(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "mode": key.mode,
        "scopes": key.scopes,
        "prefix": f"wak_{key.mode}_{key.prefix}",
        "revoked": key.revoked,
        "created_at": iso(key.created),
    }
