from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from conftest import PASSWORD, Person, assert_problem, bearer

pytestmark = pytest.mark.django_db


def log_in(client: APIClient, email: str, password: str) -> object:
    return client.post("/api/auth/login", {"email": email, "password": password}, format="json")


def test_logging_in_gives_an_access_and_a_refresh_token(alice: Person, anonymous: APIClient) -> None:
    answer = log_in(anonymous, "alice@example.com", PASSWORD)
    assert answer.status_code == 200
    assert set(answer.json()) == {"access", "refresh"}
    me = bearer(answer.json()["access"]).get("/api/auth/me")
    assert me.json()["user"]["email"] == "alice@example.com"


def test_the_address_may_be_spelled_in_any_case(alice: Person, anonymous: APIClient) -> None:
    assert log_in(anonymous, " Alice@EXAMPLE.com ", PASSWORD).status_code == 200


def test_a_login_is_noted(alice: Person, anonymous: APIClient) -> None:
    assert alice.user.last_login is None
    log_in(anonymous, "alice@example.com", PASSWORD)
    alice.user.refresh_from_db()
    assert alice.user.last_login is not None


def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(alice: Person, anonymous: APIClient) -> None:
    wrong = assert_problem(log_in(anonymous, "alice@example.com", "wrong"), 401, "invalid_credentials")
    unknown = assert_problem(log_in(anonymous, "nobody@example.com", PASSWORD), 401, "invalid_credentials")
    del wrong["request_id"], unknown["request_id"]
    assert wrong == unknown


def test_a_password_counts_with_its_spaces(alice: Person, anonymous: APIClient) -> None:
    assert_problem(log_in(anonymous, "alice@example.com", f"{PASSWORD} "), 401, "invalid_credentials")


def test_a_person_who_was_switched_off_cannot_log_in(alice: Person, anonymous: APIClient) -> None:
    User.objects.filter(pk=alice.user.pk).update(is_active=False)
    assert_problem(log_in(anonymous, "alice@example.com", PASSWORD), 401, "invalid_credentials")


def test_broken_credentials_do_not_keep_anybody_from_logging_in(alice: Person) -> None:
    assert log_in(bearer("expired"), "alice@example.com", PASSWORD).status_code == 200


def test_an_old_hash_is_renewed_at_login(alice: Person, anonymous: APIClient) -> None:
    User.objects.filter(pk=alice.user.pk).update(password=_pbkdf2(PASSWORD))
    assert log_in(anonymous, "alice@example.com", PASSWORD).status_code == 200
    alice.user.refresh_from_db()
    assert alice.user.password.startswith("bcrypt_sha256$")


def _pbkdf2(password: str) -> str:
    from django.contrib.auth.hashers import PBKDF2PasswordHasher

    return PBKDF2PasswordHasher().encode(password, "salt", iterations=1)
