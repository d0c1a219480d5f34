from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from audit.models import Entry
from conftest import Person, assert_problem
from instances.models import Instance
from webhooks.models import Event

pytestmark = pytest.mark.django_db
MakeInstance = Callable[..., Instance]


def patch(person: Person, instance: Instance, **body: Any) -> Any:
    return person.client.patch(f"/api/instances/{instance.id}", body, "json")


def found(person: Person, **query: str) -> set[str]:
    answer = person.client.get("/api/instances", query)
    assert answer.status_code == 200, answer.content
    return {one["id"] for one in answer.json()["results"]}


def test_labels_are_set_as_a_whole(alice: Person, instance: Instance) -> None:
    assert patch(alice, instance, labels=["VIP", "Köln", "VIP"]).json()["labels"] == ["Köln", "VIP"]
    assert patch(alice, instance, labels=["北京"]).json()["labels"] == ["北京"]
    assert patch(alice, instance, name="Sales").json()["labels"] == ["北京"]
    assert patch(alice, instance, labels=[]).json()["labels"] == []
    assert Event.objects.filter(type="instance.updated").count() == 4


def test_instances_are_found_by_what_is_known_of_them(
    alice: Person, charlie: Person, make_instance: MakeInstance
) -> None:
    vip = make_instance(alice, labels={"VIP": True, "a.b [0]": True})
    stopped = make_instance(alice, labels={"vip": True}, state="stopped", reason="stopped_by_user")
    live = make_instance(alice, network="whatsapp", state="banned", reason="temporary_ban")
    make_instance(charlie, labels={"VIP": True})
    assert found(alice, label="VIP") == {vip.id}
    assert found(alice, label="a.b [0]") == {vip.id}
    assert found(alice, label="VI") == set()
    assert found(alice, state="stopped,banned") == {stopped.id, live.id}
    assert found(alice, state="stopped", label="VIP") == set()
    assert found(alice, network="whatsapp") == {live.id}
    assert found(alice, phone=f"+{stopped.phone}") == {stopped.id}
    assert_problem(alice.client.get("/api/instances?state=asleep"), 400, "invalid_request")


def test_metadata_is_changed_key_by_key(alice: Person) -> None:
    new = {"name": "New", "network": "sandbox", "labels": ["a"], "metadata": {"crm": "7", "tier": "gold"}}
    body = alice.client.post("/api/instances", new, "json").json()
    assert (body["labels"], body["metadata"]) == (["a"], {"crm": "7", "tier": "gold"})
    instance = Instance.objects.get()
    assert patch(alice, instance, metadata={"tier": None, "city": ""}).json()["metadata"] == {"crm": "7", "city": ""}
    entry = Entry.objects.get(tag="api:instance:updated")
    assert entry.changes == {"metadata": [{"crm": "7", "tier": "gold"}, {"city": "", "crm": "7"}]}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"labels": "VIP"}, "/labels"),
        ({"labels": [""]}, "/labels/0"),
        ({"labels": ["x" * 51]}, "/labels/0"),
        ({"labels": ['a"b']}, "/labels/0"),
        ({"labels": [str(n) for n in range(21)]}, "/labels"),
        ({"metadata": []}, "/metadata"),
        ({"metadata": {"k" * 41: "v"}}, "/metadata"),
        ({"metadata": {"k": "v" * 501}}, "/metadata/..."),
        ({"metadata": {"k": 1}}, "/metadata/..."),
        ({"metadata": {"k": {"deep": "x"}}}, "/metadata/..."),
        ({"metadata": {str(n): "" for n in range(51)}}, "/metadata"),
    ],
)
def test_there_are_limits(alice: Person, instance: Instance, body: dict[str, Any], pointer: str) -> None:
    problem = assert_problem(patch(alice, instance, **body), 400, "invalid_request")
    assert problem["errors"][0]["pointer"].startswith(pointer.removesuffix("/..."))
    instance.refresh_from_db()
    assert (instance.labels, instance.metadata) == ({}, {})


def test_fifty_keys_are_the_most_in_all(alice: Person, instance: Instance) -> None:
    assert patch(alice, instance, metadata={str(n): "" for n in range(50)}).status_code == 200
    assert_problem(patch(alice, instance, metadata={"more": ""}), 400, "invalid_request")
    assert patch(alice, instance, metadata={"more": "", "0": None}).status_code == 200
