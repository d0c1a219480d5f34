from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connections
from rest_framework.test import APIClient

from conftest import Person, assert_problem, bearer
from instances.models import Instance
from instances.whatsapp.jids import Jid
from messaging.accepting.acceptance import Acceptor
from messaging.accepting.orders import Order, Outgoing
from messaging.api.sending import answer_to_one
from messaging.models import Message
from webhooks.models import Event


def one(instance: Instance | str, text: str = "hello", **fields: Any) -> dict[str, Any]:
    id_ = instance if isinstance(instance, str) else instance.id
    return {"instance": id_, "to": "15550100002", "type": "text", "text": {"body": text}} | fields


def send(client: APIClient, messages: Any) -> Any:
    return client.post("/api/messages/batch", {"messages": messages}, format="json")


@pytest.mark.django_db
def test_a_batch_is_accepted_in_its_order(alice: Person, instance: Instance) -> None:
    answer = send(alice.client, [one(instance, str(n)) for n in range(100)])
    assert answer.status_code == 202
    results = answer.json()["results"]
    assert [(r["status"], r["error"], r["message"]["text"]["body"]) for r in results] == [
        (202, None, str(n)) for n in range(100)
    ]
    assert [row.id for row in Message.objects.order_by("id")] == [r["message"]["id"] for r in results]
    assert [event.data for event in Event.objects.order_by("sequence")] == [r["message"] for r in results]


@pytest.mark.django_db
def test_each_message_is_judged_by_itself(
    alice: Person, charlie: Person, instance: Instance, make_instance: Any
) -> None:
    stopped, foreign = make_instance(alice, wanted="stopped", state="stopped"), make_instance(charlie)
    messages = [
        one(stopped), one(instance), one(foreign), one("nonsense"), one(instance, to="nobody"), one(instance, extra=1),
        7, one(instance),
    ]  # fmt: skip
    results = send(alice.client, messages).json()["results"]
    assert [result["error"] and result["error"]["code"] for result in results] == [
        "instance_stopped", None, "not_found", "not_found", "invalid_request", "invalid_request",
        "invalid_request", None,
    ]  # fmt: skip
    assert [result["status"] for result in results] == [409, 202, 404, 404, 400, 400, 400, 202]
    assert results[5]["error"]["errors"][0]["pointer"] == "/extra"
    assert Message.objects.count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/messages"),
        ({"messages": []}, "/messages"),
        ({"messages": 1}, "/messages"),
        ({"messages": [1], "x": 1}, "/x"),
    ],
)
def test_what_is_no_batch_is_refused_as_a_whole(alice: Person, body: Any, pointer: str) -> None:
    problem = assert_problem(alice.client.post("/api/messages/batch", body, format="json"), 400, "invalid_request")
    assert problem["errors"][0]["pointer"] == pointer


@pytest.mark.django_db
def test_a_batch_has_at_most_a_thousand_messages(alice: Person, instance: Instance) -> None:
    assert_problem(send(alice.client, [one(instance)] * 1001), 400, "invalid_request")
    assert not Message.objects.exists()


@pytest.mark.django_db
def test_who_may_not_send_may_not_send_many(rita: Person, instance: Instance) -> None:
    assert send(rita.client, [one(instance)]).status_code == 403


def outgoing(instance: Instance, text: str) -> Outgoing:
    return Outgoing(instance.id, Jid("15550100002"), "text", {"body": text}, None)


def test_one_bad_order_does_not_take_the_others_with_it(committed: None, alice: Person, instance: Instance) -> None:
    orders = [Order(alice.actor, [outgoing(instance, text)], answer_to_one) for text in ("a", "\ud800", "b")]
    Acceptor()._run(orders)
    assert [order.error is None for order in orders] == [True, False, True]
    assert [row.content["body"] for row in Message.objects.order_by("id")] == ["a", "b"]


def test_a_crowd_is_accepted_whole_and_without_gaps(committed: None, alice: Person, instance: Instance) -> None:
    key, start, ids = alice.key(), threading.Barrier(8), []

    def post() -> None:
        client = bearer(key)
        start.wait()
        ids.extend(client.post("/api/messages", one(instance), format="json").json()["id"] for _ in range(5))
        connections.close_all()

    threads = [threading.Thread(target=post) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 40
    assert set(Message.objects.values_list("id", flat=True)) == set(ids)
    assert sorted(Event.objects.values_list("sequence", flat=True)) == list(range(1, 41))
