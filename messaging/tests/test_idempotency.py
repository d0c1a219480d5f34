from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from config.api.idempotency import Claim
from config.models import IdempotencyKey
from conftest import Person, assert_problem
from instances.models import Instance
from instances.whatsapp.jids import Jid
from messaging.accepting.acceptance import Acceptor
from messaging.accepting.orders import Order, Outgoing
from messaging.api.sending import answer_to_one
from messaging.models import Message
from messaging.tests.test_batch import one
from subscriptions.models import Meter
from webhooks.models import Event


def send(client: APIClient, instance: Instance, key: str = "k-1", **fields: Any) -> Any:
    return client.post("/api/messages", one(instance, **fields), format="json", HTTP_IDEMPOTENCY_KEY=key)


@pytest.mark.django_db
def test_the_same_request_gets_the_first_answer_and_sends_once(alice: Person, instance: Instance) -> None:
    first, second = (send(alice.client, instance) for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 202)
    assert second.json() == first.json()
    assert ("Idempotent-Replayed" in first, second["Idempotent-Replayed"]) == (False, "true")
    assert Message.objects.count() == Event.objects.count() == 1
    assert Meter.objects.get(organization=alice.organization, network="sandbox").used == 1


@pytest.mark.django_db
def test_a_batch_is_sent_once(alice: Person, instance: Instance) -> None:
    body = {"messages": [one(instance), one(instance), one("nonsense")]}
    first, second = (
        alice.client.post("/api/messages/batch", body, format="json", HTTP_IDEMPOTENCY_KEY="k-1") for _ in range(2)
    )
    assert second.json() == first.json()
    assert second["Idempotent-Replayed"] == "true"
    assert Message.objects.count() == 2


@pytest.mark.django_db
def test_another_body_under_the_same_key_is_a_mistake(alice: Person, instance: Instance) -> None:
    send(alice.client, instance)
    assert_problem(send(alice.client, instance, text="bye"), 422, "idempotency_key_reused")
    assert Message.objects.count() == 1


@pytest.mark.django_db
def test_keys_of_others_do_not_meet(alice: Person, charlie: Person, instance: Instance, make_instance: Any) -> None:
    callers = [(alice.client, instance), (alice.program(), instance), (charlie.client, make_instance(charlie))]
    assert ["Idempotent-Replayed" in send(*caller) for caller in callers] == [False, False, False]
    assert Message.objects.count() == 3


@pytest.mark.django_db
def test_a_refused_message_frees_its_key(alice: Person, instance: Instance) -> None:
    Instance.objects.update(wanted="stopped")
    assert_problem(send(alice.client, instance), 409, "instance_stopped")
    Instance.objects.update(wanted="connected")
    assert send(alice.client, instance).status_code == 202


@pytest.mark.django_db
def test_after_a_day_a_key_is_new_again(alice: Person, instance: Instance) -> None:
    send(alice.client, instance)
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert "Idempotent-Replayed" not in send(alice.client, instance)
    assert Message.objects.count() == 2


@pytest.mark.django_db
def test_a_key_that_is_none_is_refused(alice: Person, instance: Instance) -> None:
    assert_problem(send(alice.client, instance, key="x" * 256), 400, "invalid_request")
    assert not Message.objects.exists()


@pytest.mark.django_db
def test_two_orders_of_one_key_that_wait_together_are_sent_once(alice: Person, instance: Instance) -> None:
    outgoing = Outgoing(instance.id, Jid("15550100002"), "text", {"body": "hello"}, None)
    claim = Claim("scope", "key", "print")
    orders = [Order(alice.actor, [outgoing], answer_to_one, claim) for _ in range(3)]
    acceptor = Acceptor()
    for waiting in orders[:2]:
        acceptor._line.add(waiting)
    acceptor.accept(orders[2])
    assert [order.done for order in orders] == [True, True, True]
    assert [order.replayed for order in orders] == [False, True, True]
    assert Message.objects.count() == 1
