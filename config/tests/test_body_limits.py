from __future__ import annotations

import pytest
from django.conf import settings
from pytest_django import Settings

from conftest import Person, assert_problem
from instances.models import Instance

pytestmark = pytest.mark.django_db


def body(size: int) -> bytes:
    start, end = b'{"network": "sandbox", "name": "x"', b"}"
    return start + b" " * (size - len(start) - len(end)) + end


def test_a_body_of_the_limit_is_taken(alice: Person) -> None:
    answer = alice.client.post("/api/instances", body(settings.MAX_BODY_BYTES), content_type="application/json")
    assert answer.status_code == 201


@pytest.mark.parametrize("path", ["/api/instances", "/api/webhooks", "/api/auth/login", "/api/nothing"])
def test_a_body_over_the_limit_is_refused_unread(alice: Person, path: str) -> None:
    answer = alice.client.post(path, body(settings.MAX_BODY_BYTES + 1), content_type="application/json")
    assert assert_problem(answer, 413, "body_too_large")["limit"] == settings.MAX_BODY_BYTES
    assert not Instance.objects.exists()


@pytest.mark.parametrize("path", ["/api/messages", "/api/messages/batch", "/api/media"])
def test_where_files_come_as_base64_the_limit_is_higher(alice: Person, path: str) -> None:
    most = settings.MAX_DATA_BODY_BYTES
    answer = alice.client.post(path, b"{", content_type="application/json", CONTENT_LENGTH=str(most + 1))
    assert assert_problem(answer, 413, "body_too_large")["limit"] == most
    answer = alice.client.post(path, b"{" + b" " * settings.MAX_BODY_BYTES, content_type="application/json")
    assert_problem(answer, 400, "malformed_json")


def test_the_limit_is_a_setting(alice: Person, settings: Settings) -> None:
    settings.MAX_BODY_BYTES = 1024
    assert_problem(
        alice.client.post("/api/instances", body(1025), content_type="application/json"), 413, "body_too_large"
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"HTTP_TRANSFER_ENCODING": "chunked"},
        {"CONTENT_LENGTH": "many"},
        {"CONTENT_LENGTH": "-1"},
        {"CONTENT_LENGTH": "1e3"},
        {"CONTENT_LENGTH": "\xb2"},
        {"CONTENT_LENGTH": "9" * 5000},
    ],
)
def test_a_body_of_unknown_length_is_refused(alice: Person, headers: dict[str, str]) -> None:
    answer = alice.client.post("/api/instances", body(60), content_type="application/json", **headers)
    assert_problem(answer, 411, "length_required")
