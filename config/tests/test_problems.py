"""Whatever goes wrong has one shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import Organization, User
from accounts.services import organization_created
from conftest import PASSWORD, Person, assert_problem

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["/", "/nothing", "/api/nothing", "/api/instances/", "/api/instances/x/y/z", "/\xff"])
def test_an_unknown_path(anonymous: APIClient, path: str) -> None:
    assert_problem(anonymous.get(path), 404, "not_found")


def test_a_method_that_a_path_does_not_have(alice: Person) -> None:
    answer = alice.client.delete("/api/instances")
    assert_problem(answer, 405, "method_not_allowed")
    assert {"GET", "POST"} <= set(answer["Allow"].split(", "))


def test_a_method_that_a_plain_page_does_not_have(anonymous: APIClient) -> None:
    answer = anonymous.post("/api/version")
    assert_problem(answer, 405, "method_not_allowed")
    assert answer["Allow"] == "GET, HEAD"


def test_a_format_that_cannot_be_served(alice: Person) -> None:
    assert_problem(alice.client.get("/api/instances", HTTP_ACCEPT="audio/midi"), 406, "not_acceptable")


@pytest.mark.parametrize("path", ["/api/keys", "/api/instances", "/api/messages"])
@pytest.mark.parametrize(
    "body",
    [b"{", b"{]", b"\xff", b'{"name": NaN}', b'{"name": "\\ud800"}', b"'x'", b'{"name": ' + b"[" * 100_000],
)
def test_a_body_that_is_not_json(alice: Person, path: str, body: bytes) -> None:
    answer = alice.client.post(path, body, content_type="application/json")
    assert answer.status_code == 400
    assert_problem(answer, 400, answer.json()["code"])
    if path != "/api/messages" or b"name" not in body:  # a send is refused at its first unknown field
        assert answer.json()["code"] == "malformed_json"


@pytest.mark.parametrize("path", ["/api/keys", "/api/instances", "/api/messages", "/api/auth/login"])
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_body_that_is_not_called_json(alice: Person, path: str, content_type: str) -> None:
    answer = alice.client.post(path, b'{"name": "x"}', content_type=content_type)
    assert_problem(answer, 415, "unsupported_media_type")


def test_a_charset_beside_the_content_type_does_no_harm(alice: Person) -> None:
    body = b'{"name": "x", "network": "sandbox"}'
    answer = alice.client.post("/api/instances", body, content_type="application/json; charset=utf-8")
    assert answer.status_code == 201


@pytest.fixture
def bug() -> Iterator[None]:
    """Our own code fails in the middle of a registration."""

    def fail(organization: Organization) -> None:
        raise RuntimeError("the secret detail")

    organization_created.append(fail)
    yield
    organization_created.remove(fail)


def test_a_bug_of_ours_is_a_500_that_tells_no_details(bug: None) -> None:
    client = APIClient(raise_request_exception=False)
    body = {"email": "dora@example.com", "password": PASSWORD, "name": "Dora"}
    answer = client.post("/api/auth/register", body, format="json")
    assert_problem(answer, 500, "internal_error")
    assert "secret" not in answer.content.decode()
    assert not User.objects.exists()


def test_a_browser_gets_the_problem_as_a_page(alice: Person) -> None:
    browser = Client()
    browser.force_login(alice.user)
    answer: Any = browser.get("/api/instances/unknown", headers={"Accept": "text/html"})
    assert (answer.status_code, answer["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "not_found" in answer.content.decode()
