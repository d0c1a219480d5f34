"""Input is taken as it is or refused; each refusal points at the field."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.test import APIClient

from accounts.models import User
from config.api.serializers import Input, Text
from conftest import PASSWORD, Person, assert_problem

pytestmark = pytest.mark.django_db
BODY = {"email": "dora@example.com", "password": PASSWORD, "name": "Dora"}


def register(client: APIClient, body: Any) -> Any:
    return client.post("/api/auth/register", orjson.dumps(body), content_type="application/json")


@pytest.mark.parametrize(
    ("fields", "pointer", "code"),
    [
        ({"nickname": "D"}, "/nickname", "unknown_field"),
        ({"id": "usr_1"}, "/id", "unknown_field"),
        ({"is_staff": True}, "/is_staff", "unknown_field"),
        ({"": "x"}, "/", "unknown_field"),
        ({"name": 5}, "/name", "invalid"),
        ({"name": True}, "/name", "invalid"),
        ({"name": ["Dora"]}, "/name", "invalid"),
        ({"name": {"first": "Dora"}}, "/name", "invalid"),
        ({"name": None}, "/name", "null"),
        ({"name": ""}, "/name", "blank"),
        ({"name": "   "}, "/name", "blank"),
        ({"name": "x" * 101}, "/name", "max_length"),
        ({"name": "Do\x00ra"}, "/name", "null_characters_not_allowed"),
        ({"email": "nobody"}, "/email", "invalid"),
        ({"email": 5}, "/email", "invalid"),
        ({"email": f"{'x' * 250}@example.com"}, "/email", "max_length"),
        ({"password": "x" * 257}, "/password", "max_length"),
    ],
)
def test_a_field_that_is_not_as_it_should_be_is_refused(
    anonymous: APIClient, fields: dict[str, Any], pointer: str, code: str
) -> None:
    body = assert_problem(register(anonymous, BODY | fields), 400, "invalid_request")
    assert (body["errors"][0]["pointer"], body["errors"][0]["code"]) == (pointer, code)
    assert not User.objects.exists()


@pytest.mark.parametrize("name", BODY)
def test_a_missing_field_is_named(anonymous: APIClient, name: str) -> None:
    body = {key: value for key, value in BODY.items() if key != name}
    errors = assert_problem(register(anonymous, body), 400, "invalid_request")["errors"]
    assert [(error["pointer"], error["code"]) for error in errors] == [(f"/{name}", "required")]


@pytest.mark.parametrize("body", [None, [], "text", 5, True, [BODY]])
def test_a_body_that_is_no_object_is_refused(anonymous: APIClient, body: Any) -> None:
    assert_problem(register(anonymous, body), 400, "invalid_request")


def test_an_empty_body_lacks_every_field(anonymous: APIClient) -> None:
    answer = anonymous.post("/api/auth/register", b"", content_type="application/json")
    assert len(assert_problem(answer, 400, "invalid_request")["errors"]) == len(BODY)


class Note(Input):
    title = Text(max_length=10)
    count = Text(required=False)


@given(st.none() | st.booleans() | st.floats() | st.integers() | st.lists(st.text()))
def test_only_a_text_is_a_text(value: Any) -> None:
    assert not Note(data={"title": value}).is_valid()


@given(st.dictionaries(st.text(), st.text(min_size=1)))
def test_only_known_fields_pass(data: dict[str, str]) -> None:
    note = Note(data=data)
    assert not note.is_valid() or data.keys() <= {"title", "count"}


@pytest.mark.parametrize(("depth", "code"), [(40, "invalid_request"), (60, "malformed_json"), (1000, "malformed_json")])
def test_what_is_nested_too_deeply_is_refused(alice: Person, depth: int, code: str) -> None:
    body = f'{{"name": "x", "message": {{"text": {{"body": {"[" * depth}{"]" * depth}}}}}}}'
    assert_problem(alice.client.post("/api/templates", body, content_type="application/json"), 400, code)
