from __future__ import annotations

import pytest

from accounts.authentication import forget
from accounts.models import Membership, Role
from conftest import Person, assert_problem

pytestmark = pytest.mark.django_db


def test_a_person_sees_who_they_are_and_where_they_belong(alice: Person) -> None:
    body = alice.client.get("/api/auth/me").json()
    assert body["user"] == {
        "id": alice.user.id,
        "email": "alice@example.com",
        "email_verified": False,
        "pending_email": None,
        "name": "Alice",
    }
    assert (body["organization"]["id"], body["organization"]["role"]) == (alice.organization.id, "owner")


def test_a_person_in_two_organizations_acts_for_the_one_they_joined_first(alice: Person, charlie: Person) -> None:
    Membership.objects.create(organization=charlie.organization, user=alice.user, role=Role.ADMIN)
    assert alice.client.get("/api/auth/me").json()["organization"]["id"] == alice.organization.id
    assert alice.actor.organization_id == alice.organization.id


def test_a_person_without_an_organization_sees_to_their_account_and_nothing_else(alice: Person) -> None:
    Membership.objects.all().delete()
    forget()
    me = alice.client.get("/api/auth/me").json()
    assert (me["organization"], me["organizations"]) == (None, [])
    for path in ("/api/instances", "/api/members", "/api/keys", "/api/organization", "/api/messages"):
        assert_problem(alice.client.get(path), 403, "permission_denied")
    assert alice.client.post("/api/organizations", {"name": "Next"}, format="json").status_code == 201
    forget()
    assert alice.client.get("/api/organization").json()["name"] == "Next"


def test_a_key_is_no_person(alice: Person) -> None:
    assert_problem(alice.program().get("/api/auth/me"), 403, "missing_scope")
