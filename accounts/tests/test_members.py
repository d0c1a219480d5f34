"""Several people, several organizations: who may do what with whom."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.db import connection
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import authentication, invitations, services
from accounts.models import Invitation, Membership, Role, User
from accounts.organizations import suspend
from accounts.tests.conftest import token_in
from audit.models import Entry
from conftest import PASSWORD, Person, assert_problem, bearer

Delivered = Callable[[], list[EmailMessage]]


@pytest.fixture
def anna(alice: Person) -> Person:
    """An admin of Alice's organization."""
    user = User.objects.create_user("anna@example.com", PASSWORD, name="Anna")
    Membership.objects.create(organization=alice.organization, user=user, role=Role.ADMIN)
    return Person(user, alice.organization)


def membership(person: Person) -> Membership:
    return Membership.objects.get(organization=person.organization, user=person.user)


def change(by: Person, whom: Person, role: str) -> Any:
    return by.client.patch(f"/api/members/{membership(whom).id}", {"role": role}, format="json")


def remove(by: Person, whom: Person) -> Any:
    return by.client.delete(f"/api/members/{membership(whom).id}")


@pytest.mark.django_db
def test_everybody_sees_who_belongs_to_the_organization_and_no_key_does(
    alice: Person, bob: Person, rita: Person, charlie: Person
) -> None:
    for person in (alice, bob, rita):
        rows = person.client.get("/api/members").json()["results"]
        assert [(row["user"]["email"], row["role"]) for row in reversed(rows)] == [
            ("alice@example.com", "owner"),
            ("bob@example.com", "member"),
            ("rita@example.com", "viewer"),
        ]
    assert len(charlie.client.get("/api/members").json()["results"]) == 1
    assert_problem(alice.program().get("/api/members"), 403, "missing_scope")


@pytest.mark.django_db
def test_a_role_is_changed_at_once_and_recorded(alice: Person, bob: Person) -> None:
    assert change(alice, bob, "viewer").json()["role"] == "viewer"
    authentication.forget()
    assert_problem(bob.client.post("/api/messages", {}, format="json"), 403, "permission_denied")
    entry = Entry.objects.get(tag="api:member:role_changed")
    assert (entry.actor_id, entry.changes["role"]) == (alice.user.id, ["member", "viewer"])


@pytest.mark.django_db
def test_nobody_gives_or_takes_a_role_above_their_own(alice: Person, anna: Person, bob: Person) -> None:
    assert change(anna, bob, "admin").status_code == 200
    for refused in (change(anna, bob, "owner"), change(anna, anna, "owner"), change(anna, alice, "viewer")):
        assert_problem(refused, 403, "permission_denied")
    assert_problem(remove(anna, alice), 403, "permission_denied")
    invitation = {"email": "dora@example.com", "role": "owner"}
    assert_problem(anna.client.post("/api/invitations", invitation, format="json"), 403, "permission_denied")
    assert membership(alice).role == "owner"


@pytest.mark.django_db
def test_members_and_viewers_leave_and_remove_nobody(alice: Person, bob: Person, rita: Person) -> None:
    assert_problem(remove(bob, rita), 403, "permission_denied")
    assert_problem(change(bob, rita, "member"), 403, "permission_denied")
    assert remove(rita, rita).status_code == 204
    assert remove(alice, bob).status_code == 204
    assert Membership.objects.filter(organization=alice.organization).count() == 1
    assert set(Entry.objects.filter(tag__contains="member:").values_list("tag", flat=True)) == {
        "api:member:left",
        "api:member:removed",
    }


@pytest.mark.django_db
def test_the_last_owner_stays_until_there_is_another(alice: Person, bob: Person) -> None:
    assert_problem(remove(alice, alice), 409, "last_owner")
    assert_problem(change(alice, alice, "admin"), 409, "last_owner")
    assert change(alice, bob, "owner").status_code == 200
    assert remove(alice, alice).status_code == 204
    assert membership(bob).role == "owner"


@pytest.mark.parametrize(
    "act", [lambda person: remove(person, person), lambda person: change(person, person, "viewer")]
)
def test_of_two_owners_who_go_at_the_same_time_one_stays(
    committed: None, alice: Person, bob: Person, act: Callable[[Person], Any]
) -> None:
    Membership.objects.update(role=Role.OWNER)

    def go(person: Person) -> int:
        try:
            return act(person).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        codes = sorted(threads.map(go, [alice, bob]))
    assert codes[1] == 409
    assert Membership.objects.filter(organization=alice.organization, role=Role.OWNER).count() == 1


@pytest.mark.django_db
def test_an_owner_gives_the_organization_away(alice: Person, bob: Person, charlie: Person) -> None:
    def transfer(by: Person, whom: Person) -> Any:
        return by.client.post("/api/organization/transfer", {"member": membership(whom).id}, format="json")

    assert_problem(transfer(bob, bob), 403, "permission_denied")
    assert_problem(transfer(alice, charlie), 404, "not_found")
    assert transfer(alice, bob).json()["role"] == "owner"
    assert (membership(alice).role, membership(bob).role) == ("admin", "owner")
    authentication.forget()
    assert_problem(transfer(alice, alice), 403, "permission_denied")


@pytest.mark.django_db
def test_an_organization_is_renamed_by_its_owner(alice: Person, anna: Person) -> None:
    assert alice.client.patch("/api/organization", {"name": "Acme"}, format="json").json()["name"] == "Acme"
    assert_problem(anna.client.patch("/api/organization", {"name": "Mine"}, format="json"), 403, "permission_denied")
    assert anna.client.get("/api/organization").json()["name"] == "Acme"


@pytest.mark.django_db
def test_a_header_picks_one_of_several_organizations(alice: Person, charlie: Person) -> None:
    made = alice.client.post("/api/organizations", {"name": "Second"}, format="json").json()
    authentication.forget()

    def shown(organization: str) -> Any:
        return alice.client.get("/api/organization", headers={"X-Organization": organization})

    assert alice.client.get("/api/organization").json()["id"] == alice.organization.id
    assert shown(made["id"]).json()["name"] == "Second"
    assert shown(made["id"]).json()["role"] == "owner"
    for foreign in (charlie.organization.id, "", "garbage", f"{made['id']},{alice.organization.id}", "org_'; --"):
        assert_problem(shown(foreign), 404, "not_found")
    names = [row["name"] for row in alice.client.get("/api/organizations").json()["results"]]
    assert names == ["Second", "Alice"]


@pytest.mark.django_db
def test_a_key_cannot_be_carried_into_another_organization(alice: Person, charlie: Person) -> None:
    program = alice.program()
    assert program.get("/api/instances", headers={"X-Organization": alice.organization.id}).status_code == 200
    foreign = {"X-Organization": charlie.organization.id}
    assert_problem(program.get("/api/instances", headers=foreign), 404, "not_found")


@pytest.mark.django_db
def test_operators_have_no_rights_by_being_staff(alice: Person, bob: Person) -> None:
    User.objects.filter(pk=bob.user.pk).update(is_staff=True, is_superuser=True)
    assert_problem(bob.client.get("/api/keys"), 403, "permission_denied")
    assert_problem(
        bob.client.get("/api/instances", headers={"X-Organization": "org_01h455vb4pex5vsknk084sn02q"}), 404, "not_found"
    )


def invite(by: Person, email: str = "dora@example.com", role: str = "member") -> Any:
    return by.client.post("/api/invitations", {"email": email, "role": role}, format="json")


def accept(client: APIClient, token: str, **fields: str) -> Any:
    return client.post("/api/invitations/accept", {"token": token, **fields}, format="json")


@pytest.mark.django_db
def test_somebody_new_joins_with_a_name_and_a_password(alice: Person, delivered: Delivered) -> None:
    delivered()
    assert invite(alice, "Dora@Example.com").status_code == 201
    (message,) = delivered()
    assert message.to == ["dora@example.com"]
    token = token_in(message)
    assert_problem(accept(APIClient(), token), 400, "invalid_request")
    answer = accept(APIClient(), token, name="Dora", password=PASSWORD)
    assert answer.status_code == 201
    assert answer.json()["user"]["email_verified"]
    me = bearer(answer.json()["access"]).get("/api/auth/me").json()
    assert [(one["id"], one["role"]) for one in me["organizations"]] == [(alice.organization.id, "member")]
    assert_problem(accept(APIClient(), token, name="Dora", password=PASSWORD), 422, "invalid_link")


@pytest.mark.django_db
def test_somebody_known_joins_as_themselves_alone(
    alice: Person, bob: Person, charlie: Person, delivered: Delivered
) -> None:
    delivered()
    invite(alice, "charlie@example.com", "admin")
    token = token_in(delivered()[0])
    assert_problem(accept(bob.client, token), 403, "permission_denied")
    assert_problem(accept(charlie.program(), token), 403, "missing_scope")
    assert_problem(accept(APIClient(), token, name="Eve", password=PASSWORD), 409, "email_taken")
    assert accept(charlie.client, token).json()["organization"]["role"] == "admin"
    authentication.forget()
    header = {"X-Organization": alice.organization.id}
    assert charlie.client.get("/api/keys", headers=header).status_code == 200


@pytest.mark.django_db
def test_the_page_of_an_invitation_lets_somebody_new_in(alice: Person, delivered: Delivered) -> None:
    delivered()
    invite(alice)
    token, browser = token_in(delivered()[0]), Client()
    page = browser.get("/account/accept-invitation", {"token": token})
    assert b"dora@example.com is invited to Alice as member" in page.content
    fields = {"token": token, "name": "Dora", "password": PASSWORD}
    assert browser.post("/account/accept-invitation", fields).status_code == 200
    assert Membership.objects.get(user__email="dora@example.com").role == "member"


@pytest.mark.django_db
def test_an_invitation_can_be_sent_again_and_taken_back(alice: Person, charlie: Person, delivered: Delivered) -> None:
    delivered()
    path = f"/api/invitations/{invite(alice).json()['id']}"
    token = token_in(delivered()[0])
    assert [row["email"] for row in alice.client.get("/api/invitations").json()["results"]] == ["dora@example.com"]
    assert alice.client.post(f"{path}/resend").status_code == 202
    for strange in (charlie.client.delete(path), charlie.client.post(f"{path}/resend")):
        assert_problem(strange, 404, "not_found")
    assert alice.client.delete(path).status_code == 204
    assert_problem(accept(APIClient(), token, name="Dora", password=PASSWORD), 422, "invalid_link")
    assert delivered() == []


@pytest.mark.django_db
def test_nobody_is_invited_twice_or_as_a_member(alice: Person, bob: Person) -> None:
    assert invite(alice).status_code == 201
    assert_problem(invite(alice), 409, "already_invited")
    assert_problem(invite(alice, "bob@example.com"), 409, "already_member")
    Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert invite(alice).status_code == 201


@pytest.mark.django_db
def test_organizations_and_invitations_are_bounded(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "MAX_ORGANIZATIONS", 2)
    monkeypatch.setattr(invitations, "MAX_OPEN", 1)
    answers = [alice.client.post("/api/organizations", {"name": "Next"}, format="json") for _ in range(2)]
    assert answers[0].status_code == 201
    assert assert_problem(answers[1], 409, "too_many_organizations")["limit"] == 2
    assert invite(alice).status_code == 201
    assert assert_problem(invite(alice, "eve@example.com"), 409, "too_many_invitations")["limit"] == 1


@pytest.mark.django_db
def test_the_invitations_of_somebody_who_is_removed_end_with_their_rights(
    alice: Person, anna: Person, delivered: Delivered
) -> None:
    delivered()
    invite(anna, role="admin")
    token = token_in(delivered()[0])
    remove(alice, anna)
    assert_problem(accept(APIClient(), token, name="Dora", password=PASSWORD), 422, "invalid_link")


@pytest.mark.django_db
def test_in_a_suspended_organization_people_leave_and_keys_are_revoked(alice: Person, bob: Person) -> None:
    alice.key()
    suspend(organization=alice.organization, reason="operator")
    authentication.forget()
    assert_problem(invite(alice), 403, "organization_suspended")
    (key,) = alice.client.get("/api/keys").json()["results"]
    assert alice.client.delete(f"/api/keys/{key['id']}").status_code == 204
    assert remove(bob, bob).status_code == 204
    assert alice.client.patch("/api/auth/me", {"name": "Alicia"}, format="json").status_code == 200
    assert alice.client.get("/api/organization").json()["suspended"]["reason"] == "operator"
