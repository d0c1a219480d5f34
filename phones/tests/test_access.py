"""Who may use a virtual phone: every route, every stranger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from conftest import Person, assert_problem
from instances.models import Instance
from phones.models import VirtualPhone
from phones.tests.numbers import new_number

pytestmark = pytest.mark.django_db
ROUTES = [
    ("post", "/scan", {"instance": "ins_01h455vb4pex5vsknk084sn02q"}),
    ("post", "/enter-code", {"code": "ABCD-1234"}),
    ("get", "/messages", None),
    ("post", "/messages", {"to": "15550100001", "text": "hello"}),
    ("post", "/messages/3EB0A/read", {}),
]
each_route = pytest.mark.parametrize(("method", "path", "body"), ROUTES)


@pytest.fixture
def phone(alice: Person, sandbox: Callable[..., Any]) -> VirtualPhone:
    number = new_number()
    alice.client.post("/api/sandbox/phones", {"phone": number, "name": "Carla"}, format="json")
    return VirtualPhone.objects.get(phone=number)


def call(client: APIClient, method: str, phone: str, path: str, body: Any) -> Any:
    return getattr(client, method)(f"/api/sandbox/phones/{phone}{path}", body, format="json")


@each_route
def test_a_foreign_phone_is_the_same_as_a_missing_one(
    charlie: Person, phone: VirtualPhone, method: str, path: str, body: Any
) -> None:
    problems = []
    for number in (phone.phone, new_number(), "garbage", "1", "%00"):
        problem = assert_problem(call(charlie.client, method, number, path, body), 404, "not_found")
        del problem["request_id"]
        problems.append(problem)
    assert all(problem == problems[0] for problem in problems)


@each_route
def test_a_live_key_has_no_business_in_the_sandbox(
    alice: Person, phone: VirtualPhone, method: str, path: str, body: Any
) -> None:
    answer = call(alice.program(mode="live"), method, phone.phone, path, body)
    assert_problem(answer, 403, "live_key_on_sandbox")


def test_a_live_key_neither_lists_nor_creates(alice: Person, phone: VirtualPhone) -> None:
    program = alice.program(mode="live")
    assert_problem(program.get("/api/sandbox/phones"), 403, "live_key_on_sandbox")
    body = {"phone": new_number(), "name": "Carla"}
    assert_problem(program.post("/api/sandbox/phones", body, format="json"), 403, "live_key_on_sandbox")


@each_route
def test_a_viewer_only_looks(rita: Person, phone: VirtualPhone, method: str, path: str, body: Any) -> None:
    answer = call(rita.client, method, phone.phone, path, body)
    if method == "get":
        assert answer.status_code == 200
    else:
        assert_problem(answer, 403, "permission_denied")


def test_a_phone_cannot_scan_the_instance_of_another_tenant(
    charlie: Person, alice: Person, phone: VirtualPhone, make_instance: Callable[..., Instance]
) -> None:
    theirs = make_instance(charlie)
    answer = call(alice.client, "post", phone.phone, "/scan", {"instance": theirs.id})
    assert_problem(answer, 404, "not_found")


def test_a_phone_of_one_organization_cannot_write_to_one_of_another(
    alice: Person, charlie: Person, phone: VirtualPhone
) -> None:
    number = new_number()
    charlie.client.post("/api/sandbox/phones", {"phone": number, "name": "Charlie"}, format="json")
    answer = call(alice.client, "post", phone.phone, "/messages", {"to": number, "text": "hello"})
    assert_problem(answer, 422, "not_on_whatsapp")
