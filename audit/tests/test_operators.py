from __future__ import annotations

import pytest
from django.test import Client

from accounts.models import User
from audit.models import Entry
from conftest import PASSWORD

pytestmark = pytest.mark.django_db


def acts() -> list[tuple[str, str, str]]:
    rows = Entry.objects.filter(organization_id=None).order_by("sequence")
    return [(row.tag, row.actor_kind, row.actor_name) for row in rows]


def test_logins_to_the_admin_are_recorded_and_failures_too(client: Client) -> None:
    operator = User.objects.create_superuser("op@example.com", PASSWORD, name="Op")
    before = len(acts())
    for password in ("wrong", PASSWORD):
        client.post("/admin/login/", {"username": "op@example.com", "password": password}, REMOTE_ADDR="203.0.113.7")
    client.post("/admin/logout/")
    assert acts()[before:] == [
        ("admin:user:login_failed", "anonymous", ""),
        ("admin:user:logged_in", "operator", "op@example.com"),
        ("admin:user:logged_out", "operator", "op@example.com"),
    ]
    failure, login, _ = Entry.objects.order_by("sequence")[before:]
    assert (failure.changes, failure.address) == ({"email": "op@example.com"}, "203.0.113.7")
    assert login.subject == operator.id


def test_what_an_operator_writes_is_recorded_as_theirs(client: Client) -> None:
    operator = User.objects.create_superuser("op@example.com", PASSWORD, name="Op")
    client.force_login(operator)
    before = len(acts())
    form = {"name": "Support team", "permissions": []}
    answer = client.post("/admin/auth/group/add/", form)
    assert answer.status_code == 302, answer.content
    assert acts()[before:] == [("admin:group:created", "operator", "op@example.com")]
