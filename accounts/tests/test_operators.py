from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from accounts.models import Session, User
from accounts.operators import deactivate, reactivate
from audit.models import Entry
from config.admin import page_of
from conftest import PASSWORD, Person, assert_problem


@pytest.fixture
def operator(db: None) -> User:
    return User.objects.create_superuser("operator@example.com", PASSWORD, name="Operator")


@pytest.fixture
def pages(operator: User) -> Client:
    client = Client()
    client.force_login(operator)
    return client


def _act(client: Client, obj: User | Session, action: str) -> int:
    """Confirm an action as the dialog does."""
    address = f"{page_of(obj).removesuffix('change/')}{action}/"
    return client.post(address, {"_form_submitted": "on"}).status_code


def test_who_is_deactivated_is_out_at_once_and_cannot_come_back(alice: Person) -> None:
    assert alice.client.get("/api/auth/me").status_code == 200
    assert deactivate(user=alice.user)
    assert_problem(alice.client.get("/api/auth/me"), 401, "invalid_token")
    again = alice.client.post("/api/auth/login", {"email": alice.user.email, "password": PASSWORD}, format="json")
    assert again.status_code == 401


def test_who_is_reactivated_may_log_in_again_and_has_no_old_session(alice: Person) -> None:
    deactivate(user=alice.user)
    assert reactivate(user=alice.user)
    assert alice.client.get("/api/auth/me").status_code == 401
    assert alice.user.sessions.live().count() == 0


def test_a_second_call_does_and_records_nothing(alice: Person) -> None:
    assert [deactivate(user=alice.user), deactivate(user=alice.user)] == [True, False]
    assert [reactivate(user=alice.user), reactivate(user=alice.user)] == [True, False]
    tags = Entry.objects.filter(subject=alice.user.id).order_by("sequence").values_list("tag", flat=True)
    assert [tag.split(":", 1)[1] for tag in tags if "activated" in tag] == ["user:deactivated", "user:reactivated"]


def test_an_operator_deactivates_a_person_and_the_audit_says_who_did_it(
    pages: Client, operator: User, alice: Person
) -> None:
    assert _act(pages, alice.user, "deactivate") == 200
    alice.user.refresh_from_db()
    assert not alice.user.is_active
    entry = Entry.objects.get(tag="admin:user:deactivated")
    assert (entry.subject, entry.actor_kind, entry.actor_id) == (alice.user.id, "operator", operator.id)


def test_an_operator_cannot_deactivate_themselves(pages: Client, operator: User) -> None:
    assert _act(pages, operator, "deactivate") == 200
    assert "You cannot deactivate yourself." in pages.get(page_of(operator)).content.decode()
    operator.refresh_from_db()
    assert operator.is_active


def test_an_operator_ends_one_session_or_all(pages: Client, alice: Person) -> None:
    session = alice.user.sessions.get()
    assert _act(pages, session, "end") == 200
    session.refresh_from_db()
    assert session.revoked_at is not None
    alice.client.post("/api/auth/login", {"email": alice.user.email, "password": PASSWORD}, format="json")
    assert _act(pages, alice.user, "end_sessions") == 200
    assert alice.user.sessions.live().count() == 0


def test_an_operator_with_the_right_to_change_people_cannot_touch_operators(operator: User, alice: Person) -> None:
    helper = User.objects.create_user("helper@example.com", PASSWORD, name="Helper", is_staff=True)
    helper.user_permissions.set(Permission.objects.filter(codename__in=["view_user", "change_user"]))
    client = Client()
    client.force_login(helper)
    assert _act(client, operator, "deactivate") == 403
    assert client.post(page_of(operator), {"name": "Mine"}).status_code == 403
    inline = {"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"}
    client.post(page_of(alice.user), {"name": "Renamed", "is_staff": "on", "is_superuser": "on"} | inline)
    alice.user.refresh_from_db()
    assert (alice.user.name, alice.user.is_staff, alice.user.is_superuser) == ("Renamed", False, False)
    assert _act(client, alice.user, "deactivate") == 200


def test_a_password_set_by_an_operator_ends_all_sessions_and_is_recorded_without_it(
    pages: Client, alice: Person
) -> None:
    secret = "staple battery horse correct"
    address = f"{page_of(alice.user).removesuffix('change/')}password/"
    answer = pages.post(address, {"password1": secret, "password2": secret, "usable_password": "true"})
    assert answer.status_code == 302
    assert alice.client.get("/api/auth/me").status_code == 401
    entry = Entry.objects.get(tag="admin:user:changed")
    assert entry.subject == alice.user.id
    assert secret not in str(entry.changes)
