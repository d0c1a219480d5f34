from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from config.api.problems import Problem
from webhooks.dispatcher import Dispatcher
from webhooks.events import append
from webhooks.models import Delivery, Endpoint
from webhooks.sending import resend
from webhooks.services import delete_endpoint
from webhooks.tests.conftest import Receiver, wait_for


@pytest.fixture
def delivery(draft: Any, hook: Endpoint) -> Delivery:
    """A delivery that has failed for good."""
    append([draft()])
    Delivery.objects.update(state=Delivery.State.FAILED, next_attempt_at=None, attempt_count=10)
    return Delivery.objects.get()


def test_a_finished_delivery_is_due_at_once(delivery: Delivery) -> None:
    assert resend(delivery=delivery)
    delivery.refresh_from_db()
    assert delivery.state == Delivery.State.PENDING
    assert delivery.next_attempt_at is not None
    assert delivery.next_attempt_at <= timezone.now()


def test_a_second_call_changes_nothing_while_the_first_is_open(delivery: Delivery) -> None:
    resend(delivery=delivery)
    due = Delivery.objects.get().next_attempt_at
    assert not resend(delivery=delivery)
    assert Delivery.objects.get().next_attempt_at == due


@pytest.mark.parametrize("gone", ["disabled", "deleted"])
def test_nothing_is_sent_to_an_endpoint_that_takes_nothing(delivery: Delivery, hook: Endpoint, gone: str) -> None:
    if gone == "deleted":
        delete_endpoint(endpoint=hook)
    else:
        Endpoint.objects.update(enabled=False)
    with pytest.raises(Problem, match="Enable the endpoint first") as refused:
        resend(delivery=delivery)
    assert refused.value.code == "webhook_disabled"
    assert Delivery.objects.get().state == Delivery.State.FAILED


def test_the_receiver_gets_the_event_once_more_and_a_failure_is_final(
    dispatcher: Dispatcher, draft: Any, hook: Endpoint, receiver: Receiver
) -> None:
    with transaction.atomic():
        event = append([draft()])[0]
    Delivery.objects.update(state=Delivery.State.FAILED, next_attempt_at=None, attempt_count=10)
    receiver.answer = lambda number, path: (500, {}, b"")
    resend(delivery=Delivery.objects.get())
    dispatcher.wake(hook.id)
    wait_for(lambda: Delivery.objects.get().attempt_count == 11)
    assert [request.headers["webhook-id"] for request in receiver.requests] == [event.id]
    assert Delivery.objects.get().state == Delivery.State.FAILED
