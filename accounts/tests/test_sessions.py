"""Tokens stolen, reused, ended: each loss of rights counts at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.conf import settings as django_settings
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken

from accounts import authentication
from accounts.models import Membership, Session, User
from accounts.sessions import Device, Tokens, issue_tokens
from accounts.tasks import prune
from audit.models import Entry
from config.variables import Rate
from conftest import PASSWORD, Person, assert_problem, bearer, wait_for

ME = "/api/auth/me"
NEW = "another long password"


def refresh(token: str) -> Any:
    return APIClient().post("/api/auth/refresh", {"refresh": token}, format="json")


def ended(access: str) -> bool:
    """True if the token's session has ended for a process that had not looked for a while."""
    authentication.forget()
    return bearer(access).get(ME).status_code == 401


@pytest.fixture
def tokens(alice: Person) -> Tokens:
    return issue_tokens(user=alice.user)


@pytest.mark.django_db
def test_a_stolen_refresh_token_ends_the_session_of_thief_and_victim(alice: Person, tokens: Tokens) -> None:
    thief = refresh(tokens.refresh).json()
    assert_problem(refresh(tokens.refresh), 401, "invalid_token")
    assert_problem(refresh(thief["refresh"]), 401, "invalid_token")
    assert ended(thief["access"])
    assert ended(tokens.access)
    assert bearer(issue_tokens(user=alice.user).access).get(ME).status_code == 200
    assert alice.client.get(ME).status_code == 200
    entry = Entry.objects.get(tag="api:session:reuse_detected")
    assert (entry.organization_id, entry.changes) == (alice.organization.id, {"user": alice.user.id})


def test_of_two_refreshes_at_the_same_time_one_wins_and_the_session_ends(committed: None, tokens: Tokens) -> None:
    def use(_: int) -> Any:
        try:
            return refresh(tokens.refresh)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(use, range(2)))
    assert sorted(answer.status_code for answer in answers) == [200, 401]
    winner = next(answer.json() for answer in answers if answer.status_code == 200)
    assert ended(winner["access"])
    assert Session.objects.get(refresh_jti__isnull=False, revoked_at__isnull=False).revoked_reason == "reuse_detected"


@pytest.mark.django_db
def test_logging_out_ends_the_session_of_the_access_token_and_no_other(alice: Person, tokens: Tokens) -> None:
    assert bearer(tokens.access).post("/api/auth/logout").status_code == 204
    assert ended(tokens.access)
    assert_problem(refresh(tokens.refresh), 401, "invalid_token")
    assert alice.client.get(ME).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("credential", ["", "garbage"])
def test_a_refresh_token_is_enough_to_log_out(tokens: Tokens, credential: str) -> None:
    client = bearer(credential) if credential else APIClient()
    body = {"refresh": tokens.refresh}
    for _ in range(2):
        assert client.post("/api/auth/logout", body, format="json").status_code == 204
    assert ended(tokens.access)


@pytest.mark.django_db
def test_logging_out_needs_a_person(alice: Person) -> None:
    assert_problem(APIClient().post("/api/auth/logout"), 401, "not_authenticated")
    assert_problem(alice.program().post("/api/auth/logout"), 403, "missing_scope")
    assert_problem(APIClient().post("/api/auth/logout", {"refresh": "a.b.c"}, format="json"), 401, "invalid_token")


@pytest.mark.django_db
def test_logging_out_everywhere_ends_tokens_and_browsers(alice: Person, charlie: Person, tokens: Tokens) -> None:
    browser = Client()
    browser.force_login(alice.user)
    assert browser.get(ME, headers={"Accept": "application/json"}).status_code == 200
    assert alice.client.post("/api/auth/logout-everywhere").status_code == 204
    assert ended(tokens.access)
    assert browser.get(ME, headers={"Accept": "application/json"}).status_code == 401
    assert charlie.client.get(ME).status_code == 200


@pytest.mark.django_db
def test_a_new_password_ends_every_session_but_the_new_one(alice: Person, tokens: Tokens) -> None:
    browser = Client()
    browser.force_login(alice.user)
    answer = bearer(tokens.access).post(
        "/api/auth/change-password", {"current_password": PASSWORD, "password": NEW}, format="json"
    )
    assert answer.status_code == 200
    assert ended(tokens.access)
    assert_problem(refresh(tokens.refresh), 401, "invalid_token")
    assert browser.get(ME, headers={"Accept": "application/json"}).status_code == 401
    assert bearer(answer.json()["access"]).get(ME).status_code == 200
    login = {"email": alice.user.email, "password": NEW}
    assert APIClient().post("/api/auth/login", login, format="json").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("current", "new", "pointer"), [("wrong", NEW, "/current_password"), (PASSWORD, "12345678", "/password")]
)
def test_a_password_is_changed_by_who_knows_it_to_a_good_one(
    alice: Person, current: str, new: str, pointer: str
) -> None:
    answer = alice.client.post(
        "/api/auth/change-password", {"current_password": current, "password": new}, format="json"
    )
    assert assert_problem(answer, 400, "invalid_request")["errors"][0]["pointer"] == pointer
    assert not ended(issue_tokens(user=alice.user).access)
    assert User.objects.get(pk=alice.user.pk).check_password(PASSWORD)


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/auth/change-password", "/api/auth/me"])
def test_a_password_is_not_guessed_with_a_stolen_token(alice: Person, settings: Settings, path: str) -> None:
    cache.clear()
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"email": Rate(3, 60)}
    body = {"current_password": "wrong"} | ({"password": NEW} if "change" in path else {"email": "eve@example.com"})
    send = alice.client.post if "change" in path else alice.client.patch
    codes = [send(path, body, format="json").status_code for _ in range(4)]
    assert codes == [400, 400, 400, 429]


@pytest.mark.django_db
def test_the_sessions_of_a_person_are_listed_and_ended_one_by_one(alice: Person, charlie: Person) -> None:
    other = issue_tokens(user=alice.user, device=Device("192.0.2.7", "curl/8"))
    rows = alice.client.get("/api/auth/sessions").json()["results"]
    assert [(row["current"], row["address"], row["user_agent"]) for row in rows] == [
        (False, "192.0.2.7", "curl/8"),
        (True, "", ""),
    ]
    path = f"/api/auth/sessions/{rows[0]['id']}"
    assert_problem(charlie.client.delete(path), 404, "not_found")
    assert alice.client.delete(path).status_code == 204
    assert_problem(alice.client.delete(path), 404, "not_found")
    assert ended(other.access)
    assert len(alice.client.get("/api/auth/sessions").json()["results"]) == 1


@pytest.mark.django_db
def test_a_browser_is_a_session_that_can_be_ended_from_elsewhere(alice: Person) -> None:
    browser = Client()
    browser.force_login(alice.user)
    (row,) = [row for row in alice.client.get("/api/auth/sessions").json()["results"] if row["browser"]]
    assert alice.client.delete(f"/api/auth/sessions/{row['id']}").status_code == 204
    assert browser.get("/admin/").status_code == 302
    assert browser.get(ME, headers={"Accept": "application/json"}).status_code == 401


def _revoke(alice: Person) -> None:
    Session.objects.update(revoked_at=timezone.now())


def _expire(alice: Person) -> None:
    Session.objects.update(expires_at=timezone.now())


def _deactivate(alice: Person) -> None:
    User.objects.filter(pk=alice.user.pk).update(is_active=False)


def _remove(alice: Person) -> None:
    User.objects.filter(pk=alice.user.pk).delete()


@pytest.mark.django_db
@pytest.mark.parametrize("act", [_revoke, _expire, _deactivate, _remove])
def test_what_another_process_does_counts_here_soon(alice: Person, act: Callable[[Person], None]) -> None:
    assert alice.client.get(ME).status_code == 200
    act(alice)
    wait_for(lambda: alice.client.get(ME).status_code == 401)


@pytest.mark.django_db
def test_who_leaves_an_organization_has_no_rights_there_soon(alice: Person) -> None:
    assert alice.client.get("/api/instances").status_code == 200
    Membership.objects.all().delete()
    wait_for(lambda: alice.client.get("/api/instances").status_code == 403)


@pytest.mark.django_db
def test_who_is_reactivated_has_to_log_in_again(alice: Person) -> None:
    for active in (False, True):
        alice.user.is_active = active
        alice.user.save()
    assert_problem(alice.client.get(ME), 401, "invalid_token")


@pytest.mark.django_db
def test_the_access_path_costs_one_query(alice: Person, django_assert_num_queries: Any) -> None:
    token = issue_tokens(user=alice.user).access
    with django_assert_num_queries(1):
        assert authentication.actors_of_token(token)[0].organization_id == alice.organization.id
    with django_assert_num_queries(0):
        authentication.actors_of_token(token)


def _forged(claims: dict[str, Any], key: str | None = None, algorithm: str = "HS256") -> str:
    return jwt.encode(claims, django_settings.SECRET_KEY if key is None else key, algorithm=algorithm)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "change",
    [
        {"aud": "another"},
        {"aud": None},
        {"iss": "another"},
        {"iss": None},
        {"token_type": "refresh"},
        {"token_type": None},
        {"sid": None},
        {"sid": "ses_01h455vb4pex5vsknk084sn02q"},
        {"sid": 5},
        {"sub": "usr_01h455vb4pex5vsknk084sn02q"},
        {"exp": None},
        {"jti": None},
    ],
)
def test_a_token_with_another_claim_is_refused(tokens: Tokens, change: dict[str, Any]) -> None:
    claims = jwt.decode(tokens.access, options={"verify_signature": False})
    assert bearer(_forged(claims)).get(ME).status_code == 200
    changed = {name: value for name, value in (claims | change).items() if value is not None}
    assert_problem(bearer(_forged(changed)).get(ME), 401, "invalid_token")


@pytest.mark.django_db
@pytest.mark.parametrize(("key", "algorithm"), [("", "none"), (None, "HS512"), ("x" * 64, "HS256")])
def test_a_token_signed_otherwise_is_refused(tokens: Tokens, key: str | None, algorithm: str) -> None:
    claims = jwt.decode(tokens.access, options={"verify_signature": False})
    assert_problem(bearer(_forged(claims, key, algorithm)).get(ME), 401, "invalid_token")


@pytest.mark.django_db
def test_a_token_without_a_session_is_refused(alice: Person) -> None:
    assert_problem(bearer(str(AccessToken.for_user(alice.user))).get(ME), 401, "invalid_token")


@pytest.mark.django_db
def test_sessions_that_ended_long_ago_are_dropped(alice: Person) -> None:
    Session.objects.filter(user=alice.user).update(expires_at=timezone.now() - timedelta(days=31))
    kept = issue_tokens(user=alice.user)
    prune()
    assert Session.objects.count() == 1
    assert bearer(kept.access).get(ME).status_code == 200
