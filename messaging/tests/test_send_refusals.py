"""What cannot be sent is refused with the right status, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rest_framework.test import APIClient

from conftest import Person, assert_problem, bearer
from instances.models import Instance
from instances.states import ENDED, State
from messaging.models import Message
from webhooks.models import Event

pytestmark = pytest.mark.django_db

UNKNOWN = "ins_01h455vb4pex5vsknk084sn02q"


@pytest.fixture(autouse=True)
def _nothing_half_done(db: None) -> Iterator[None]:
    yield
    assert not Message.objects.exists()
    assert not Event.objects.exists()


def body(instance_id: Any, **fields: Any) -> dict[str, Any]:
    return {"instance": instance_id, "to": "15550100002", "type": "text", "text": {"body": "hello"}} | fields


def send(client: APIClient, instance: Instance, fields: dict[str, Any] | None = None) -> Any:
    return client.post("/api/messages", body(instance.id) | (fields or {}), format="json")


@pytest.mark.parametrize(
    "instance_id",
    ["ins_01h455vb4pex5vsknk084sn02q", "garbage", "", "ins_" + "z" * 26, "msg_01h455vb4pex5vsknk084sn02q"],
)
def test_an_instance_that_is_not_there(alice: Person, instance_id: str) -> None:
    assert_problem(alice.client.post("/api/messages", body(instance_id), format="json"), 404, "not_found")


def test_the_instance_of_another_tenant_is_not_there(charlie: Person, instance: Instance) -> None:
    assert_problem(send(charlie.client, instance), 404, "not_found")
    assert_problem(send(charlie.program(), instance), 404, "not_found")


@pytest.mark.parametrize(
    ("fields", "pointer", "code"),
    [
        ({"instance": 5}, "/instance", "invalid"),
        ({"instance": None}, "/instance", "invalid"),
        ({"to": 15550100002}, "/to", "invalid"),
        ({"to": ["15550100002"]}, "/to", "invalid"),
        ({"to": ""}, "/to", "invalid"),
        ({"to": "1" * 81}, "/to", "invalid"),
        ({"to": "me"}, "/to", "invalid_recipient"),
        ({"to": "123"}, "/to", "invalid_recipient"),
        ({"to": "15550100002@c.us"}, "/to", "invalid_recipient"),
        ({"to": "1555010\x000002"}, "/to", "null_characters_not_allowed"),
        ({"to": "99912345678"}, "/to", "invalid_phone_number"),
        ({"to": "155501000022"}, "/to", "invalid_phone_number"),
        ({"type": "fax"}, "/type", "invalid"),
        ({"type": None}, "/type", "invalid"),
        ({"text": "hello"}, "/text", "invalid"),
        ({"text": None}, "/text", "invalid"),
        ({"text": {}}, "/text/body", "required"),
        ({"text": {"body": ""}}, "/text/body", "invalid"),
        ({"text": {"body": 5}}, "/text/body", "invalid"),
        ({"text": {"body": "x" * 65_537}}, "/text/body", "invalid"),
        ({"text": {"body": "a\x00b"}}, "/text/body", "null_characters_not_allowed"),
        ({"text": {"body": "x", "preview": True}}, "/text/preview", "unknown_field"),
        ({"image": {}}, "/image", "unknown_field"),
        ({"status": "sent"}, "/status", "unknown_field"),
        ({"client_ref": ""}, "/client_ref", "invalid"),
        ({"client_ref": "x" * 201}, "/client_ref", "invalid"),
        ({"client_ref": 7}, "/client_ref", "invalid"),
        ({"client_ref": "\x00"}, "/client_ref", "null_characters_not_allowed"),
    ],
)
def test_a_field_that_is_not_as_it_should_be(
    alice: Person, instance: Instance, fields: dict[str, Any], pointer: str, code: str
) -> None:
    problem = assert_problem(send(alice.client, instance, fields), 400, "invalid_request")
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(pointer, code)]


@pytest.mark.parametrize("name", ["instance", "to", "text"])
def test_a_field_that_is_missing(alice: Person, instance: Instance, name: str) -> None:
    fields = {key: value for key, value in body(instance.id).items() if key != name}
    problem = assert_problem(alice.client.post("/api/messages", fields, format="json"), 400, "invalid_request")
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(f"/{name}", "required")]


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b'{"to": "\\ud800"}', b'{"instance": "x"', b"{'to': 1}"])
def test_a_body_that_is_not_json(alice: Person, raw: bytes) -> None:
    answer = alice.client.post("/api/messages", raw, content_type="application/json")
    assert_problem(answer, 400, "malformed_json")


@pytest.mark.parametrize("raw", [b"[]", b"null", b"5", b'"x"', b"[" * 100_000])
def test_a_body_that_is_no_object(alice: Person, raw: bytes) -> None:
    answer = alice.client.post("/api/messages", raw, content_type="application/json")
    assert assert_problem(answer, 400, "invalid_request")["errors"][0]["pointer"] == ""


def test_no_credentials(anonymous: APIClient, instance: Instance) -> None:
    assert_problem(send(anonymous, instance), 401, "not_authenticated")


def test_wrong_credentials(alice: Person, instance: Instance) -> None:
    assert_problem(send(bearer("wak_test_" + "x" * 50), instance), 401, "invalid_credentials")
    assert_problem(send(bearer(alice.key()[:-1] + "-"), instance), 401, "invalid_credentials")


def test_a_key_without_the_scope(alice: Person, instance: Instance) -> None:
    problem = assert_problem(send(alice.program("read", "manage", "webhooks"), instance), 403, "missing_scope")
    assert problem["scope"] == "send"


def test_a_key_of_the_other_mode(alice: Person, make_instance: Callable[..., Instance]) -> None:
    real, sandbox = make_instance(alice, network="whatsapp"), make_instance(alice)
    assert_problem(send(alice.program(mode="test"), real), 403, "test_key_on_live")
    assert_problem(send(alice.program(mode="live"), sandbox), 403, "live_key_on_sandbox")


@pytest.mark.parametrize("state", [State.CREATED, State.LINKING, State.LOGGED_OUT])
def test_a_number_that_is_not_linked(alice: Person, make_instance: Callable[..., Instance], state: str) -> None:
    new = make_instance(alice, state=state, device_jid=None)
    assert_problem(send(alice.client, new), 409, "instance_not_linked")


def test_a_number_that_was_stopped(alice: Person, make_instance: Callable[..., Instance]) -> None:
    stopped = make_instance(alice, wanted="stopped", state=State.STOPPED)
    assert_problem(send(alice.client, stopped), 409, "instance_stopped")


@pytest.mark.parametrize("state", sorted(ENDED))
def test_a_number_that_has_come_to_an_end(alice: Person, make_instance: Callable[..., Instance], state: str) -> None:
    problem = assert_problem(send(alice.client, make_instance(alice, state=state)), 409, "instance_unavailable")
    assert problem["state"] == state


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_another_method(alice: Person, instance: Instance, method: str) -> None:
    answer = getattr(alice.client, method)("/api/messages", body(instance.id), format="json")
    assert_problem(answer, 405, "method_not_allowed")
