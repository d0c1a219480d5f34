from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from accounts import authentication
from accounts.models import ApiKey
from conftest import Person, assert_problem, bearer

pytestmark = pytest.mark.django_db
BODY = {"name": "Shop", "mode": "test", "scopes": ["send", "read"]}


def create(client: APIClient, **fields: Any) -> Any:
    return client.post("/api/keys", BODY | fields, format="json")


def test_a_new_key_works_at_once(alice: Person) -> None:
    answer = create(alice.client)
    assert answer.status_code == 201
    assert answer.json()["key"].startswith("wak_test_")
    assert answer.json()["scopes"] == ["read", "send"]
    assert bearer(answer.json()["key"]).get("/api/instances").status_code == 200


def test_a_key_is_shown_once_and_kept_as_a_hash(alice: Person) -> None:
    key = create(alice.client).json()["key"]
    listed = alice.client.get("/api/keys")
    assert [row["name"] for row in listed.json()["results"]] == ["Shop"]
    assert key not in listed.content.decode()
    assert "key" not in listed.json()["results"][0]
    row = ApiKey.objects.get()
    assert key[21:] not in str(vars(row))
    assert row.hashed_key.startswith("sha512$$")


def test_the_list_shows_the_keys_of_the_organization_alone(alice: Person, charlie: Person) -> None:
    charlie.key()
    assert alice.client.get("/api/keys").json()["results"] == []


def test_a_key_remembers_its_creator(alice: Person) -> None:
    create(alice.client)
    assert ApiKey.objects.get().created_by == alice.user


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"mode": "both"}, "/mode"),
        ({"mode": None}, "/mode"),
        ({"scopes": []}, "/scopes"),
        ({"scopes": "read"}, "/scopes"),
        ({"scopes": ["read", "everything"]}, "/scopes/1"),
        ({"name": ""}, "/name"),
        ({"name": 5}, "/name"),
        ({"name": "x" * 101}, "/name"),
        ({"expires": "never"}, "/expires"),
    ],
)
def test_a_key_that_cannot_be_is_refused(alice: Person, fields: dict[str, Any], pointer: str) -> None:
    body = assert_problem(create(alice.client, **fields), 400, "invalid_request")
    assert body["errors"][0]["pointer"] == pointer
    assert not ApiKey.objects.exists()


def test_keys_are_managed_by_people_alone(alice: Person) -> None:
    program = alice.program()
    key = ApiKey.objects.get()
    for method, path in [
        ("get", "/api/keys"),
        ("post", "/api/keys"),
        ("get", f"/api/keys/{key.id}"),
        ("patch", f"/api/keys/{key.id}"),
        ("delete", f"/api/keys/{key.id}"),
        ("post", f"/api/keys/{key.id}/rotate"),
    ]:
        body = assert_problem(getattr(program, method)(path, BODY, format="json"), 403, "missing_scope")
        assert body["scope"] == "keys"
    assert ApiKey.objects.filter(revoked=False).count() == 1


def _unusable(alice: Person, **columns: Any) -> Any:
    key = alice.key()
    ApiKey.objects.update(**columns)
    return bearer(key).get("/api/instances")


def test_a_revoked_key_is_refused(alice: Person) -> None:
    assert_problem(_unusable(alice, revoked=True), 401, "invalid_credentials")


def test_an_expired_key_is_refused(alice: Person) -> None:
    expired = timezone.now() - timedelta(seconds=1)
    assert_problem(_unusable(alice, expiry_date=expired), 401, "invalid_credentials")


def test_a_key_whose_secret_was_changed_is_refused(alice: Person) -> None:
    assert_problem(_unusable(alice, hashed_key="sha512$$00"), 401, "invalid_credentials")


def test_a_key_costs_one_query_and_then_none_for_half_a_second(
    alice: Person, django_assert_num_queries: DjangoAssertNumQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, now = alice.key(), 1000.0
    monkeypatch.setattr(authentication, "time", SimpleNamespace(monotonic=lambda: now))
    with django_assert_num_queries(2):  # one of them notes the use
        authentication.actor_of_key(key, "192.0.2.1")
    now += 0.49
    with django_assert_num_queries(0):
        authentication.actor_of_key(key, "192.0.2.1")
    now += 0.02
    with django_assert_num_queries(1):
        authentication.actor_of_key(key, "192.0.2.1")


def test_a_text_that_cannot_be_a_key_costs_no_query(
    anonymous: APIClient, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    anonymous.credentials(HTTP_X_API_KEY="wak_test_" + "x" * 50)
    with django_assert_num_queries(0):
        assert_problem(anonymous.get("/api/instances"), 401, "invalid_credentials")
