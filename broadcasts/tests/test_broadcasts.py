"""A broadcast from its request to its end, fed by hand."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from broadcasts import feeding
from broadcasts.feeding import WINDOW
from broadcasts.models import Broadcast, Recipient
from broadcasts.tests.conftest import HELLO, Make, feed, number, to
from conftest import Person, assert_problem
from instances.models import Instance
from messaging.models import Message
from webhooks.models import Event

pytestmark = pytest.mark.django_db


def shown(person: Person, broadcast: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = person.client.get(f"/api/broadcasts/{broadcast['id']}").json()
    return found


def bodies() -> list[str]:
    return [row.content["body"] for row in Message.objects.order_by("id")]


def send_all() -> None:
    """The lanes send everything."""
    Message.objects.filter(status="queued").update(status="sent")


def test_each_recipient_gets_the_message_with_its_own_values(alice: Person, make: Make) -> None:
    made = make(recipients=[*to(1, name="Carla"), *to(2), {"to": number(3), "client_ref": "order-17"}])
    assert made["recipients"] == {"accepted": 3, "duplicate": 0, "invalid": 0, "opted_out": 0}
    assert made["progress"]["pending"] == 3
    feed()
    assert bodies() == ["Hello Carla", "Hello there", "Hello there"]
    rows = list(Message.objects.order_by("id"))
    assert {row.origin for row in rows} == {"broadcast"}
    recipients = alice.client.get(f"/api/broadcasts/{made['id']}/recipients").json()["results"][::-1]
    assert [one["message_id"] for one in recipients] == [row.pk for row in rows]
    assert [row.client_ref for row in rows] == [recipients[0]["id"], recipients[1]["id"], "order-17"]


def test_it_is_completed_when_the_last_message_has_left(alice: Person, make: Make) -> None:
    made = make()
    feed()
    feed(made["id"])
    found = shown(alice, made)
    assert (found["state"], found["progress"]["queued"]) == ("running", 3)
    send_all()
    Message.objects.filter(chat__startswith=number(1)).update(status="read")
    feed(made["id"])
    found = shown(alice, made)
    assert (found["state"], found["progress"]["sent"], found["progress"]["read"]) == ("completed", 2, 1)
    assert found["ended_at"]
    told = Event.objects.filter(type__startswith="broadcast.").order_by("sequence").values_list("type", flat=True)
    assert list(told) == ["broadcast.started", "broadcast.completed"]


def test_no_more_than_a_window_waits_in_a_lane(make: Make) -> None:
    made = make(recipients=to(*range(100)))
    for _ in range(10):
        feed(made["id"])
    assert Message.objects.count() == WINDOW
    send_all()
    for _ in range(10):
        feed(made["id"])
    assert Message.objects.count() == 2 * WINDOW


def test_other_messages_of_the_instance_go_first(make: Make, alice: Person, instance: Instance) -> None:
    one = {"instance": instance.id, "to": "15550100002", "type": "text", "text": {"body": "Hello"}}
    alice.client.post("/api/messages/batch", {"messages": [one] * WINDOW}, format="json")
    made = make()
    feed(made["id"])
    assert not Message.objects.filter(origin="broadcast").exists()


def test_while_it_is_paused_nothing_is_sent(alice: Person, make: Make) -> None:
    made = make(recipients=to(*range(50)))
    feed()
    fed = Message.objects.count()
    for _ in range(2):
        answer = alice.client.post(f"/api/broadcasts/{made['id']}/pause")
        assert (answer.json()["state"], answer.json()["reason"]) == ("paused", "user")
    send_all()
    feed(made["id"])
    assert Message.objects.count() == fed < 50
    assert alice.client.post(f"/api/broadcasts/{made['id']}/resume").json()["state"] == "running"
    feed()
    assert Message.objects.count() > fed


def test_a_cancelled_one_takes_back_what_waits_and_gives_the_quota_back(alice: Person, make: Make) -> None:
    made = make(recipients=to(*range(50)))
    feed()
    sent = Message.objects.order_by("id").first()
    assert sent is not None
    Message.objects.filter(pk=sent.pk).update(status="sent")
    for _ in range(2):
        assert alice.client.post(f"/api/broadcasts/{made['id']}/cancel").json()["state"] == "cancelled"
    found = shown(alice, made)
    assert (found["progress"]["cancelled"], found["progress"]["sent"]) == (49, 1)
    feed(made["id"])
    assert Message.objects.exclude(status="cancelled").count() == 1
    assert alice.client.get("/api/usage").json()  # the month still adds up
    assert Broadcast.objects.get().next_at is None
    assert Event.objects.filter(type="message.cancelled").count() == Message.objects.count() - 1


def test_what_has_ended_or_not_begun_cannot_be_paused(alice: Person, make: Make) -> None:
    made = make()
    feed()
    send_all()
    feed(made["id"])
    for verb in ("pause", "resume", "cancel"):
        assert_problem(alice.client.post(f"/api/broadcasts/{made['id']}/{verb}"), 409, "broadcast_not_running")
    draft = make(draft=True)
    for verb in ("pause", "resume"):
        assert_problem(alice.client.post(f"/api/broadcasts/{draft['id']}/{verb}"), 409, "broadcast_not_running")
    assert alice.client.post(f"/api/broadcasts/{draft['id']}/cancel").json()["state"] == "cancelled"


def test_a_draft_takes_more_until_it_is_started(alice: Person, make: Make) -> None:
    draft = make(draft=True, recipients=to(1))
    assert draft["state"] == "draft"
    address = f"/api/broadcasts/{draft['id']}"
    taken = alice.client.post(f"{address}/recipients", {"recipients": to(1, 2)}, format="json").json()
    assert taken == {"accepted": 1, "duplicate": 1, "invalid": 0, "opted_out": 0, "errors": []}
    feed()
    assert not Message.objects.exists()
    assert alice.client.post(f"{address}/start").json()["state"] == "running"
    assert_problem(alice.client.post(f"{address}/start"), 409, "broadcast_started")
    answer = alice.client.post(f"{address}/recipients", {"recipients": to(3)}, format="json")
    assert_problem(answer, 409, "broadcast_started")
    feed()
    assert Message.objects.count() == 2


def test_one_without_any_valid_recipient_is_refused_whole(alice: Person, instance: Instance) -> None:
    body = {"instance": instance.id, "message": HELLO, "recipients": [{"to": "nobody"}, {"to": number(1), "x": 1}]}
    problem = assert_problem(alice.client.post("/api/broadcasts", body, format="json"), 422, "no_recipients")
    assert problem["counts"]["invalid"] == 2
    assert [error["pointer"] for error in problem["errors"]] == ["/recipients/0/to", "/recipients/1"]
    assert not Broadcast.objects.exists()
    draft = alice.client.post("/api/broadcasts", body | {"draft": True}, format="json").json()
    assert_problem(alice.client.post(f"/api/broadcasts/{draft['id']}/start"), 422, "no_recipients")


@pytest.mark.parametrize(
    ("recipient", "pointer", "code"),
    [
        ({"to": "nobody", "variables": {"name": "x"}}, "/to", "invalid_recipient"),
        ({"to": number(9), "variables": {}}, "/variables/name", "missing_variable"),
        ({"to": number(9), "variables": {"name": "x", "nmae": "y"}}, "/variables/nmae", "unknown_variable"),
        ({"to": number(9), "variables": {"name": 7}}, "/variables/name", "invalid"),
        ({"to": number(9), "variables": {"name": "x" * 1001}}, "/variables/name", "max_length"),
        ({"to": number(9), "variables": {"name": "\x00"}}, "/text/body", "null_characters_not_allowed"),
        ({"to": number(9), "variables": []}, "", "invalid"),
        ({"to": 15550200009}, "", "invalid"),
        ("15550200009", "", "invalid"),
        ({"to": number(9), "variables": {"name": "x"}, "client_ref": ""}, "/client_ref", "invalid"),
    ],
)
def test_a_recipient_that_is_not_valid_does_not_keep_the_others_back(
    make: Make, recipient: Any, pointer: str, code: str
) -> None:
    message = {"type": "text", "text": {"body": "Hello {{name}}"}}
    made = make(message=message, recipients=[*to(1, name="Carla"), recipient, *to(2, name="Dora")])
    assert made["recipients"] == {"accepted": 2, "duplicate": 0, "invalid": 1, "opted_out": 0}
    assert [(one["pointer"], one["code"]) for one in made["errors"]] == [(f"/recipients/1{pointer}", code)]


def test_the_first_of_equal_addresses_counts(make: Make) -> None:
    made = make(recipients=[*to(1, name="Carla"), *to(2), {"to": f"+{number(1)[:4]} {number(1)[4:]}"}])
    assert made["recipients"] == {"accepted": 2, "duplicate": 1, "invalid": 0, "opted_out": 0}
    feed()
    assert bodies()[0] == "Hello Carla"


def test_several_instances_share_the_work(alice: Person, make: Make, make_instance: Any) -> None:
    ids = [make_instance(alice).id for _ in range(3)]
    stopped = make_instance(alice, wanted="stopped", state="stopped")
    make(instances=[*ids, stopped.id], recipients=to(*range(9)))
    feed()
    assert Counter(Message.objects.values_list("instance_id", flat=True)) == dict.fromkeys(ids, 3)


def test_what_a_recipient_shows_follows_the_message(alice: Person, make: Make) -> None:
    made = make(recipients=to(1))
    feed()
    for status, state in [("sending", "queued"), ("sent", "sent"), ("delivered", "delivered"), ("played", "read")]:
        Message.objects.update(status=status)
        address = f"/api/broadcasts/{made['id']}/recipients?state={state}"
        (found,) = alice.client.get(address).json()["results"]
        assert found["state"] == state
        assert Recipient.objects.get().state == status


def test_two_feeders_with_the_same_turn_send_once(make: Make) -> None:
    made = make()
    (first,), (second,) = ([*feeding._due(Broadcast.objects.get().next_at)] for _ in range(2))
    assert feeding._turn_of(first, first.next_at) == 3
    assert feeding._turn_of(second, second.next_at) == 0
    assert Message.objects.count() == 3
    assert Recipient.objects.filter(broadcast=made["id"], state="queued").count() == 3
