"""Fifty writers at once: what is counted is exact and nothing is sent twice, in one process and across several."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections
from rest_framework.test import APIClient

from config.models import IdempotencyKey
from conftest import Person, bearer
from instances.models import Instance
from messaging import services
from messaging.accepting.acceptance import Acceptor
from messaging.accepting.orders import Order
from messaging.models import Message
from messaging.tests.test_batch import one
from messaging.tests.test_quota import limit, used
from subscriptions.models import DailyUsage
from webhooks.models import Event

pytestmark = pytest.mark.every_case
WRITERS = 50


@pytest.fixture(params=["one process", "a process for each writer"])
def processes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests of one process share transactions; those of several meet in the database only."""
    if request.param == "a process for each writer":
        own = threading.local()

        class Own:
            def accept(self, order: Order) -> None:
                own.acceptor = getattr(own, "acceptor", None) or Acceptor()
                own.acceptor.accept(order)

        monkeypatch.setattr(services, "acceptor", Own())


def at_once(work: Callable[[int], Any]) -> list[Any]:
    """What WRITERS threads that start together return, each called with its number."""
    start, results = threading.Barrier(WRITERS), []

    def run(number: int) -> None:
        start.wait()
        try:
            results.append(work(number))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=[number]) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == WRITERS
    return results


def post(client: APIClient, path: str, data: Any, **headers: str) -> Any:
    """The answer; on a busy machine a writer may wait too long for its turn, gets 503, and asks again."""
    while (answer := client.post(path, data, format="json", **headers)).status_code == 503:
        assert answer.json()["code"] == "unavailable"
    return answer


def test_the_quota_is_used_up_exactly(committed: None, processes: None, alice: Person, instance: Instance) -> None:
    limit(alice, 120)
    key = alice.key()

    def write(number: int) -> list[int]:
        client = bearer(key)
        answers = [post(client, "/api/messages", one(instance)) for _ in range(3)]
        batch = post(client, "/api/messages/batch", {"messages": [one(instance)] * 2})
        return [answer.status_code for answer in answers] + [one["status"] for one in batch.json()["results"]]

    statuses = Counter(status for result in at_once(write) for status in result)
    assert statuses == {202: 120, 429: 130}
    assert used(alice) == Message.objects.count() == 120
    assert DailyUsage.objects.get(organization=alice.organization).count == 120
    queued = Event.objects.filter(type="message.queued").values_list("sequence", flat=True)
    assert sorted(queued) == list(range(1, 121))
    told = Event.objects.filter(type="subscription.usage").values_list("data__percent", flat=True)
    assert sorted(told) == [80, 100]


def test_what_everybody_sends_under_the_same_keys_is_sent_once(
    committed: None, processes: None, alice: Person, instance: Instance
) -> None:
    key = alice.key()

    def write(number: int) -> list[tuple[int, str, bool]]:
        client, results = bearer(key), []
        for place in range(4):
            name = f"key-{(number + place) % 4}"
            answer = post(client, "/api/messages", one(instance, name), HTTP_IDEMPOTENCY_KEY=name)
            results.append((answer.status_code, answer.json().get("id"), "Idempotent-Replayed" in answer))
        return results

    answers = [answer for result in at_once(write) for answer in result]
    assert {status for status, _, _ in answers} == {202}
    assert {id_ for _, id_, _ in answers} == set(Message.objects.values_list("id", flat=True))
    assert Message.objects.count() == IdempotencyKey.objects.count() == used(alice) == 4
    assert sum(not replayed for _, _, replayed in answers) == 4
