from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken

from accounts.models import User
from accounts.services import issue_tokens
from conftest import Person, assert_problem, bearer

pytestmark = pytest.mark.django_db


def call(**headers: str) -> Any:
    return APIClient().get("/api/instances", **headers)


def test_an_access_token_is_taken_as_bearer(alice: Person) -> None:
    assert call(HTTP_AUTHORIZATION=f"Bearer {issue_tokens(user=alice.user).access}").status_code == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_key_is_taken_as_bearer_in_any_case(alice: Person, scheme: str) -> None:
    assert call(HTTP_AUTHORIZATION=f"{scheme} {alice.key()}").status_code == 200


def test_a_key_is_taken_from_its_own_header(alice: Person) -> None:
    assert call(HTTP_X_API_KEY=alice.key()).status_code == 200


def test_without_credentials_the_answer_asks_for_them() -> None:
    answer = call()
    assert_problem(answer, 401, "not_authenticated")
    assert answer["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"HTTP_AUTHORIZATION": "Basic YWxpY2U6c2VjcmV0"}, "invalid_credentials"),
        ({"HTTP_AUTHORIZATION": "Bearer"}, "invalid_credentials"),
        ({"HTTP_AUTHORIZATION": "Bearer  "}, "invalid_credentials"),
        ({"HTTP_AUTHORIZATION": "wak_test_x"}, "invalid_credentials"),
        ({"HTTP_AUTHORIZATION": "Bearer wak_test_x"}, "invalid_credentials"),
        ({"HTTP_AUTHORIZATION": "Bearer garbage"}, "invalid_token"),
        ({"HTTP_AUTHORIZATION": "Bearer a.b.c"}, "invalid_token"),
        ({"HTTP_AUTHORIZATION": "Bearer \xff\xfe"}, "invalid_token"),
        ({"HTTP_X_API_KEY": ""}, "invalid_credentials"),
        ({"HTTP_X_API_KEY": "garbage"}, "invalid_credentials"),
        ({"HTTP_X_API_KEY": "wak_test_\xff"}, "invalid_credentials"),
    ],
)
def test_wrong_credentials_are_refused_with_a_challenge(headers: dict[str, str], code: str) -> None:
    answer = call(**headers)
    assert_problem(answer, 401, code)
    assert answer["WWW-Authenticate"] == "Bearer"


def test_an_expired_access_token_is_refused(alice: Person) -> None:
    token = AccessToken.for_user(alice.user)
    token.set_exp(lifetime=-timedelta(seconds=1))
    assert_problem(bearer(str(token)).get("/api/instances"), 401, "invalid_token")


def test_a_token_of_somebody_who_is_gone_is_refused(alice: Person) -> None:
    User.objects.filter(pk=alice.user.pk).delete()
    assert_problem(alice.client.get("/api/instances"), 401, "invalid_token")


def test_a_token_of_somebody_who_was_switched_off_is_refused(alice: Person) -> None:
    User.objects.filter(pk=alice.user.pk).update(is_active=False)
    assert_problem(alice.client.get("/api/instances"), 401, "invalid_token")


@pytest.fixture
def browser(alice: Person) -> Client:
    """Alice is logged in on a page; CSRF is checked as for a real browser."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice.user)
    return client


def test_a_browser_reads_with_its_session(browser: Client) -> None:
    assert browser.get("/api/instances", headers={"Accept": "application/json"}).json()["results"] == []


def test_a_browser_cannot_write_without_the_csrf_token(browser: Client) -> None:
    body = {"name": "Forged", "network": "sandbox"}
    answer = browser.post("/api/instances", body, content_type="application/json")
    assert answer.status_code == 403
    assert answer.json()["code"] in ("csrf_failed", "permission_denied")


def test_a_form_in_the_admin_without_the_csrf_token_is_refused(browser: Client) -> None:
    assert_problem(browser.post("/admin/login/", {"username": "x", "password": "y"}), 403, "csrf_failed")
