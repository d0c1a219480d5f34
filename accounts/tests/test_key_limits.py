"""Keys that reach less: instances, addresses, time. And keys that give way to new ones."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import authentication
from accounts.models import ApiKey
from audit.models import Entry
from conftest import Person, assert_problem, bearer, wait_for
from instances.models import Instance, Network
from messaging.models import Message
from webhooks.models import Endpoint

pytestmark = pytest.mark.django_db
MakeInstance = Callable[..., Instance]
ALL = ["read", "send", "manage", "webhooks"]


def create(person: Person, **fields: Any) -> Any:
    body = {"name": "Shop", "mode": "test", "scopes": ALL} | fields
    return person.client.post("/api/keys", body, format="json")


def limited(person: Person, **fields: Any) -> APIClient:
    answer = create(person, **fields)
    assert answer.status_code == 201, answer.json()
    return bearer(answer.json()["key"])


@pytest.fixture
def other(alice: Person, make_instance: MakeInstance) -> Instance:
    """Another instance of Alice's."""
    return make_instance(alice)


@pytest.fixture
def program(alice: Person, instance: Instance, other: Instance) -> APIClient:
    """A key for the first of Alice's two instances."""
    return limited(alice, instances=[instance.id])


def test_a_limited_key_sees_and_touches_its_instances_alone(
    program: APIClient, instance: Instance, other: Instance
) -> None:
    assert [row["id"] for row in program.get("/api/instances").json()["results"]] == [instance.id]
    assert program.get(f"/api/instances/{instance.id}").status_code == 200
    assert program.post(f"/api/instances/{instance.id}/stop").status_code == 202
    for method, path in [
        ("get", ""),
        ("get", "/qr"),
        ("post", "/stop"),
        ("post", "/connect"),
        ("get", "/pairing-code"),
    ]:
        assert_problem(getattr(program, method)(f"/api/instances/{other.id}{path}"), 404, "not_found")


def test_a_limited_key_creates_no_instances(program: APIClient) -> None:
    body = {"name": "Sales", "network": "sandbox"}
    assert_problem(program.post("/api/instances", body, format="json"), 403, "permission_denied")


def test_a_limited_key_sends_from_and_reads_of_its_instances_alone(
    alice: Person, program: APIClient, instance: Instance, other: Instance
) -> None:
    ids = {}
    for one in (instance, other):
        body = {"instance": one.id, "to": "15550100002", "type": "text", "text": {"body": "hello"}}
        ids[one.id] = alice.client.post("/api/messages", body, format="json").json()["id"]
        answer = program.post("/api/messages", body, format="json")
        assert answer.status_code == (202 if one == instance else 404)
    assert Message.objects.count() == 3
    assert {row["instance"] for row in program.get("/api/messages").json()["results"]} == {instance.id}
    assert program.get(f"/api/messages/{ids[instance.id]}").status_code == 200
    assert_problem(program.get(f"/api/messages/{ids[other.id]}"), 404, "not_found")
    assert_problem(program.get(f"/api/messages?instance={other.id}"), 404, "not_found")


def test_a_limited_key_has_endpoints_for_its_instances_alone(
    alice: Person, program: APIClient, instance: Instance, other: Instance
) -> None:
    def hook(client: APIClient, **fields: Any) -> Any:
        return client.post("/api/webhooks", {"url": "https://example.org", "events": ["*"]} | fields, format="json")

    mine = hook(program).json()
    assert mine["instances"] == [instance.id]
    assert_problem(hook(program, instances=[instance.id, other.id]), 403, "permission_denied")
    everything = hook(alice.client).json()["id"]
    Endpoint.objects.update(mode="test")
    for foreign in (everything, hook(alice.client, instances=[other.id]).json()["id"]):
        for method in ("get", "patch", "delete"):
            assert_problem(getattr(program, method)(f"/api/webhooks/{foreign}", {}, format="json"), 404, "not_found")
    assert [row["id"] for row in program.get("/api/webhooks").json()["results"]] == [mine["id"]]
    path = f"/api/webhooks/{mine['id']}"
    assert_problem(program.patch(path, {"instances": [other.id]}, format="json"), 403, "permission_denied")
    assert program.patch(path, {"instances": None}, format="json").json()["instances"] == [instance.id]


def test_a_limited_key_has_no_virtual_phones(program: APIClient) -> None:
    assert_problem(program.get("/api/sandbox/phones"), 403, "permission_denied")
    body = {"phone": "15550100042", "name": "Carla"}
    assert_problem(program.post("/api/sandbox/phones", body, format="json"), 403, "permission_denied")


def test_a_key_is_limited_to_instances_of_the_organization_and_its_mode(
    alice: Person, charlie: Person, instance: Instance, make_instance: MakeInstance
) -> None:
    real, foreign = make_instance(alice, network=Network.WHATSAPP), make_instance(charlie)
    for wrong in (real.id, foreign.id, "ins_01h455vb4pex5vsknk084sn02q"):
        body = assert_problem(create(alice, instances=[instance.id, wrong]), 400, "invalid_request")
        assert [error["pointer"] for error in body["errors"]] == ["/instances/1"]
    assert create(alice, mode="live", instances=[real.id]).status_code == 201


@pytest.mark.parametrize(
    ("allowed", "address", "status"),
    [
        (["192.0.2.0/24"], "192.0.2.77", 200),
        (["192.0.2.0/24"], "192.0.3.1", 403),
        (["192.0.2.7"], "192.0.2.7", 200),
        (["192.0.2.7"], "::ffff:192.0.2.7", 200),
        (["192.0.2.7", "2001:db8::/32"], "2001:db8::5", 200),
        (["2001:db8::/32"], "2001:db9::5", 403),
        (["0.0.0.0/0"], "2001:db8::5", 403),
    ],
)
def test_a_key_with_addresses_works_from_there_alone(
    alice: Person, allowed: list[str], address: str, status: int
) -> None:
    program = limited(alice, allowed_ips=allowed)
    answer = program.get("/api/instances", REMOTE_ADDR=address)
    if status == 403:
        assert_problem(answer, 403, "address_not_allowed")
        assert ApiKey.objects.get().last_used_at is None
    else:
        assert answer.status_code == 200


def test_an_address_cannot_be_made_up(alice: Person) -> None:
    program = limited(alice, allowed_ips=["192.0.2.7"])
    headers = {"X-Forwarded-For": "192.0.2.7", "X-Real-Ip": "192.0.2.7", "Forwarded": "for=192.0.2.7"}
    assert_problem(
        program.get("/api/instances", headers=headers, REMOTE_ADDR="198.51.100.1"), 403, "address_not_allowed"
    )


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"allowed_ips": ["192.0.2.1/24"]}, "/allowed_ips/0"),
        ({"allowed_ips": ["example.org"]}, "/allowed_ips/0"),
        ({"allowed_ips": []}, "/allowed_ips"),
        ({"instances": []}, "/instances"),
        ({"instances": ["org_01h455vb4pex5vsknk084sn02q"]}, "/instances/0"),
        ({"expires_at": "2001-01-01T00:00:00Z"}, "/expires_at"),
        ({"expires_at": "2999-01-01T00:00:00"}, "/expires_at"),
        ({"expires_at": "tomorrow"}, "/expires_at"),
        ({"expires_at": 4102444800}, "/expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-12:00"}, "/expires_at"),
    ],
)
def test_limits_that_cannot_be_are_refused(alice: Person, fields: dict[str, Any], pointer: str) -> None:
    body = assert_problem(create(alice, **fields), 400, "invalid_request")
    assert body["errors"][0]["pointer"] == pointer


def test_a_key_expires_on_time_even_while_it_is_remembered(alice: Person) -> None:
    moment = timezone.now() + timedelta(seconds=3)
    program = limited(alice, expires_at=moment.isoformat())
    assert program.get("/api/instances").status_code == 200
    wait_for(lambda: timezone.now() > moment)
    assert_problem(program.get("/api/instances"), 401, "invalid_credentials")


def test_the_use_of_a_key_is_noted_once_a_minute(alice: Person) -> None:
    program = limited(alice)
    path = f"/api/keys/{ApiKey.objects.get().id}"
    assert alice.client.get(path).json()["last_used_at"] is None
    program.get("/api/instances")
    first = alice.client.get(path).json()["last_used_at"]
    assert first
    authentication.forget()
    program.get("/api/instances")
    assert alice.client.get(path).json()["last_used_at"] == first
    ApiKey.objects.update(last_used_at=timezone.now() - timedelta(seconds=61))
    authentication.forget()
    program.get("/api/instances")
    assert alice.client.get(path).json()["last_used_at"] > first


def test_a_key_is_renamed_and_nothing_else_of_it_is_changed(alice: Person, charlie: Person) -> None:
    create(alice)
    path = f"/api/keys/{ApiKey.objects.get().id}"
    assert alice.client.patch(path, {"name": "Till"}, format="json").json()["name"] == "Till"
    assert_problem(alice.client.patch(path, {"scopes": ["read"]}, format="json"), 400, "invalid_request")
    for method in ("get", "patch", "delete"):
        change = {"name": "x"} if method == "patch" else None
        assert_problem(getattr(charlie.client, method)(path, change, format="json"), 404, "not_found")
    assert_problem(charlie.client.post(f"{path}/rotate", {"overlap_seconds": 0}, format="json"), 404, "not_found")


def test_revoking_ends_a_key_and_may_be_repeated(alice: Person) -> None:
    program = limited(alice)
    assert program.get("/api/instances").status_code == 200
    path = f"/api/keys/{ApiKey.objects.get().id}"
    for _ in range(2):
        assert alice.client.delete(path).status_code == 204
    wait_for(lambda: program.get("/api/instances").status_code == 401)
    assert alice.client.get(path).json()["revoked"]
    assert Entry.objects.filter(tag="api:key:revoked").count() == 1


def rotate(alice: Person, overlap: int) -> tuple[APIClient, Any]:
    """A key that was rotated, and the answer."""
    old = limited(alice, scopes=["read"], allowed_ips=["127.0.0.0/8"])
    path = f"/api/keys/{ApiKey.objects.get().id}/rotate"
    return old, alice.client.post(path, {"overlap_seconds": overlap}, format="json")


def test_a_rotated_key_works_beside_its_successor_for_the_overlap(alice: Person) -> None:
    old, answer = rotate(alice, 60)
    assert answer.status_code == 201
    new = answer.json()
    assert (new["name"], new["scopes"], new["allowed_ips"]) == ("Shop", ["read"], ["127.0.0.0/8"])
    for client in (old, bearer(new["key"])):
        assert client.get("/api/instances").status_code == 200
    ApiKey.objects.exclude(pk=new["id"]).update(expiry_date=timezone.now())
    authentication.forget()
    assert_problem(old.get("/api/instances"), 401, "invalid_credentials")
    assert bearer(new["key"]).get("/api/instances").status_code == 200


def test_without_an_overlap_the_old_key_ends_at_once(alice: Person) -> None:
    old, answer = rotate(alice, 0)
    authentication.forget()
    assert_problem(old.get("/api/instances"), 401, "invalid_credentials")
    assert bearer(answer.json()["key"]).get("/api/instances").status_code == 200
    first = ApiKey.objects.exclude(pk=answer.json()["id"]).get()
    again = alice.client.post(f"/api/keys/{first.id}/rotate", {"overlap_seconds": 60}, format="json")
    assert_problem(again, 409, "key_ended")


@pytest.mark.parametrize("overlap", [-1, 604801, "60", 1.5, True, None])
def test_an_overlap_is_a_number_of_seconds_up_to_a_week(alice: Person, overlap: Any) -> None:
    create(alice)
    path = f"/api/keys/{ApiKey.objects.get().id}/rotate"
    answer = alice.client.post(path, {"overlap_seconds": overlap}, format="json")
    assert assert_problem(answer, 400, "invalid_request")["errors"][0]["pointer"] == "/overlap_seconds"
    assert ApiKey.objects.count() == 1


def test_two_credentials_at_once_are_refused(alice: Person, charlie: Person) -> None:
    headers = {"X-API-Key": charlie.key()}
    assert_problem(alice.client.get("/api/instances", headers=headers), 401, "invalid_credentials")
    assert_problem(bearer(f"{alice.key()},{charlie.key()}").get("/api/instances"), 401, "invalid_credentials")
    assert_problem(bearer(f"{alice.key()} {charlie.key()}").get("/api/instances"), 401, "invalid_credentials")
