from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from accounts.models import Membership, User
from conftest import PASSWORD, Person
from subscriptions.models import Subscription

pytestmark = pytest.mark.django_db
BODY = {"email": "dora@example.com", "password": PASSWORD, "name": "Dora"}


def test_registering_makes_a_user_an_organization_and_a_basic_subscription(anonymous: APIClient) -> None:
    answer = anonymous.post("/api/auth/register", BODY, format="json")
    assert answer.status_code == 201
    body = answer.json()
    assert body["user"]["email"] == "dora@example.com"
    assert Membership.objects.get(user_id=body["user"]["id"]).role == "owner"
    assert Subscription.objects.get(organization_id=body["organization"]["id"]).plan_id == "basic"


def test_the_tokens_of_a_registration_work_at_once(anonymous: APIClient) -> None:
    tokens = anonymous.post("/api/auth/register", BODY, format="json").json()
    anonymous.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens['access']}")
    assert anonymous.get("/api/auth/me").json()["user"]["name"] == "Dora"


def test_an_address_can_be_registered_once_whatever_its_spelling(alice: Person, anonymous: APIClient) -> None:
    answer = anonymous.post("/api/auth/register", BODY | {"email": "ALICE@Example.com"}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (409, "email_taken")
    assert User.objects.count() == 1


@pytest.mark.parametrize("password", ["short", "12345678901", "password", "dora@example.com"])
def test_a_weak_password_is_refused_and_nothing_is_left_behind(anonymous: APIClient, password: str) -> None:
    answer = anonymous.post("/api/auth/register", BODY | {"password": password}, format="json")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/password"
    assert not User.objects.exists()
