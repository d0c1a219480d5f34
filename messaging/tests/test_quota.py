from __future__ import annotations

from typing import Any

import pytest

from conftest import Person, assert_problem
from instances.models import Instance
from messaging.models import Message
from messaging.sending.ledger import Claim, Outcome
from messaging.tests.conftest import Write
from messaging.tests.test_batch import one
from messaging.tests.test_batch import send as send_batch
from messaging.tests.test_send import send
from subscriptions.models import DailyUsage, Meter
from webhooks.models import Event


def limit(person: Person, messages: int, used: int = 0) -> None:
    alert_at = -(-messages * 4 // 5)
    Meter.objects.filter(organization=person.organization).update(limit=messages, used=used, alert_at=alert_at)


def used(person: Person) -> int:
    return Meter.objects.get(organization=person.organization, network="sandbox").used


@pytest.mark.django_db
def test_what_is_over_the_quota_is_refused_and_says_when_it_renews(alice: Person, instance: Instance) -> None:
    limit(alice, 2)
    assert [send(alice.client, instance).status_code for _ in range(2)] == [202, 202]
    answer = send(alice.client, instance)
    problem = assert_problem(answer, 429, "quota_exceeded")
    assert (problem["limit"], problem["used"]) == (2, 2)
    assert int(answer["Retry-After"]) > 0
    assert problem["renews_at"]
    assert Message.objects.count() == used(alice) == 2


@pytest.mark.django_db
def test_of_a_batch_as_much_is_accepted_as_the_quota_has_room_for(alice: Person, instance: Instance) -> None:
    limit(alice, 10, used=7)
    results = send_batch(alice.client, [one(instance, str(n)) for n in range(5)]).json()["results"]
    assert [result["status"] for result in results] == [202, 202, 202, 429, 429]
    assert results[3]["error"]["code"] == "quota_exceeded"
    assert [row.content["body"] for row in Message.objects.order_by("id")] == ["0", "1", "2"]
    assert used(alice) == 10


@pytest.mark.django_db
def test_refused_messages_cost_nothing(alice: Person, instance: Instance) -> None:
    send_batch(alice.client, [one("nonsense"), 7])
    assert used(alice) == 0


@pytest.mark.django_db
def test_another_organization_has_a_quota_of_its_own(
    alice: Person, charlie: Person, instance: Instance, make_instance: Any
) -> None:
    limit(alice, 0)
    assert send(alice.client, instance).status_code == 429
    assert send(charlie.client, make_instance(charlie)).status_code == 202


@pytest.mark.django_db
def test_eighty_and_a_hundred_percent_are_told_once_each(alice: Person, instance: Instance) -> None:
    limit(alice, 5)
    for _ in range(6):
        send(alice.client, instance)
    told = Event.objects.filter(type="subscription.usage").order_by("sequence")
    assert [(event.data["percent"], event.data["used"], event.data["limit"]) for event in told] == [
        (80, 4, 5),
        (100, 5, 5),
    ]
    assert {event.instance_id for event in told} == {None}


def test_a_message_that_ended_unsent_does_not_count(alice: Person, held: Instance, write: Write) -> None:
    sent, refused = (send(alice.client, held).json()["id"] for _ in range(2))
    write(Claim(2))
    write(Outcome(sent, "sent", "A1"), Outcome(refused, "failed", error_code="not_on_whatsapp"))
    assert used(alice) == 1
    write(Outcome(refused, "failed", error_code="not_on_whatsapp"))
    assert used(alice) == 1


@pytest.mark.django_db
def test_accepted_messages_are_counted_by_day(alice: Person, instance: Instance) -> None:
    send_batch(alice.client, [one(instance)] * 3)
    (row,) = DailyUsage.objects.filter(organization=alice.organization)
    assert (row.instance, row.type, row.direction, row.network, row.count) == (
        instance.id, "text", "outbound", "sandbox", 3,
    )  # fmt: skip
