from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import RefreshToken

from accounts.models import User
from accounts.services import issue_tokens
from conftest import Person, assert_problem, bearer


def refresh(client: APIClient, token: str) -> Any:
    return client.post("/api/auth/refresh", {"refresh": token}, format="json")


@pytest.mark.django_db
def test_a_refresh_token_is_exchanged_for_new_tokens_that_work(alice: Person, anonymous: APIClient) -> None:
    old = issue_tokens(user=alice.user).refresh
    answer = refresh(anonymous, old)
    assert answer.status_code == 200
    assert bearer(answer.json()["access"]).get("/api/auth/me").status_code == 200
    assert refresh(anonymous, answer.json()["refresh"]).status_code == 200


@pytest.mark.django_db
def test_a_refresh_token_works_once(alice: Person, anonymous: APIClient) -> None:
    token = issue_tokens(user=alice.user).refresh
    assert refresh(anonymous, token).status_code == 200
    answer = refresh(anonymous, token)
    assert_problem(answer, 401, "invalid_token")
    assert answer["WWW-Authenticate"] == "Bearer"


@pytest.mark.django_db
def test_an_expired_refresh_token_is_refused(alice: Person, anonymous: APIClient) -> None:
    token = RefreshToken.for_user(alice.user)
    token.set_exp(lifetime=-timedelta(seconds=1))
    assert_problem(refresh(anonymous, str(token)), 401, "invalid_token")


@pytest.mark.django_db
def test_an_access_token_cannot_refresh(alice: Person, anonymous: APIClient) -> None:
    assert_problem(refresh(anonymous, issue_tokens(user=alice.user).access), 401, "invalid_token")


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["x", "a.b.c", "eyJhbGciOiJub25lIn0.e30."])
def test_what_is_no_token_cannot_refresh(anonymous: APIClient, text: str) -> None:
    assert_problem(refresh(anonymous, text), 401, "invalid_token")


@pytest.mark.django_db
def test_a_refresh_token_cannot_be_used_as_access(alice: Person) -> None:
    assert_problem(bearer(issue_tokens(user=alice.user).refresh).get("/api/auth/me"), 401, "invalid_token")


@pytest.mark.django_db
def test_a_person_who_was_switched_off_cannot_refresh(alice: Person, anonymous: APIClient) -> None:
    token = issue_tokens(user=alice.user).refresh
    User.objects.filter(pk=alice.user.pk).update(is_active=False)
    assert_problem(refresh(anonymous, token), 401, "invalid_token")


@pytest.mark.django_db
def test_a_new_password_ends_all_tokens(alice: Person, anonymous: APIClient) -> None:
    tokens = issue_tokens(user=alice.user)
    alice.user.set_password("another long password")
    alice.user.save()
    assert_problem(refresh(anonymous, tokens.refresh), 401, "invalid_token")
    assert_problem(bearer(tokens.access).get("/api/auth/me"), 401, "invalid_token")


def test_of_four_uses_of_a_refresh_token_at_the_same_time_one_succeeds(committed: None, alice: Person) -> None:
    token = issue_tokens(user=alice.user).refresh

    def use(_: int) -> int:
        try:
            return refresh(APIClient(), token).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        assert Counter(threads.map(use, range(4))) == {200: 1, 401: 3}
