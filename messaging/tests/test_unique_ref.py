from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient

from conftest import Person, assert_problem
from instances.models import Instance
from messaging.models import Message


def body(instance: Instance, **fields: Any) -> dict[str, Any]:
    return {"instance": instance.id, "to": "15550100002", "text": {"body": "hello"}, "client_ref": "order 7"} | fields


def send(client: APIClient, instance: Instance, **fields: Any) -> Any:
    return client.post("/api/messages", body(instance, **fields), format="json")


@pytest.fixture
def strict(instance: Instance) -> Instance:
    """Alice's instance, which takes each client_ref once."""
    instance.settings = {"client_ref_unique": True}
    instance.save()
    return instance


@pytest.mark.django_db
def test_a_reference_may_be_used_again_unless_it_is_asked_for(alice: Person, instance: Instance) -> None:
    assert [send(alice.client, instance).status_code for _ in range(2)] == [202, 202]
    first = send(alice.client, instance, client_ref_unique=True)
    assert first.status_code == 202
    problem = assert_problem(send(alice.client, instance, client_ref_unique=True), 409, "client_ref_taken")
    assert problem["message_id"] == first.json()["id"]
    assert send(alice.client, instance).status_code == 202


@pytest.mark.django_db
def test_an_instance_can_ask_for_all_of_its_messages(
    alice: Person, strict: Instance, make_instance: Callable[..., Instance]
) -> None:
    assert send(alice.client, strict).status_code == 202
    assert_problem(send(alice.client, strict), 409, "client_ref_taken")
    assert send(alice.client, strict, client_ref_unique=False).status_code == 202
    assert send(alice.client, strict, client_ref="order 8").status_code == 202
    assert [send(alice.client, strict, client_ref=None).status_code for _ in range(2)] == [202, 202]
    assert send(alice.client, make_instance(alice)).status_code == 202


@pytest.mark.django_db
def test_in_a_batch_the_first_one_has_it(alice: Person, strict: Instance) -> None:
    messages = [body(strict, client_ref=ref) for ref in ("a", "b", "a", "c", "b")]
    results = alice.client.post("/api/messages/batch", {"messages": messages}, format="json").json()["results"]
    assert [result["status"] for result in results] == [202, 202, 409, 202, 409]
    assert results[2]["error"]["message_id"] == results[0]["message"]["id"]
    assert Message.objects.count() == 3


@pytest.mark.django_db
def test_there_must_be_a_reference_to_be_unique(alice: Person, instance: Instance) -> None:
    answer = send(alice.client, instance, client_ref=None, client_ref_unique=True)
    assert assert_problem(answer, 400, "invalid_request")["errors"][0]["pointer"] == "/client_ref"


def test_of_many_at_once_one_has_it(committed: None, alice: Person, strict: Instance) -> None:
    statuses: list[int] = []

    def run() -> None:
        try:
            statuses.append(send(alice.client, strict).status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [202] + [409] * 7
    assert Message.objects.count() == 1
