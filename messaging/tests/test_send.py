from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from config.celery import app
from config.ids import new_id
from conftest import Person
from instances.models import Instance, Worker
from instances.states import ENDED, State
from messaging.models import Message
from webhooks.models import Event


def send(client: APIClient, instance: Instance, **fields: Any) -> Any:
    body = {"instance": instance.id, "to": "15550100002", "type": "text", "text": {"body": "hello"}} | fields
    return client.post("/api/messages", body, format="json")


@pytest.mark.django_db
def test_an_accepted_message_is_a_queued_row(alice: Person, instance: Instance) -> None:
    answer = send(alice.client, instance, client_ref="order 7")
    assert answer.status_code == 202
    body = answer.json()
    phone = {"id": "15550100002@s.whatsapp.net", "phone": "15550100002", "lid": None, "name": None}
    me = {"id": f"{instance.phone}@s.whatsapp.net", "phone": instance.phone, "lid": None, "name": "Support"}
    assert body["id"].startswith("msg_")
    assert body.items() >= {"instance": instance.id, "direction": "outbound", "status": "queued"}.items()
    assert body.items() >= {"type": "text", "text": {"body": "hello"}, "client_ref": "order 7", "error": None}.items()
    assert (body["chat"], body["to"], body["from"]) == (phone, phone, me)
    assert (body["wa_id"], body["sent_at"], body["delivered_at"], body["read_at"]) == (None, None, None, None)
    row = Message.objects.get(pk=body["id"])
    assert (row.status, row.content, row.chat) == ("queued", {"body": "hello"}, "15550100002@s.whatsapp.net")
    assert (row.organization_id, len(bytes(row.secret)), row.attempts) == (alice.organization.id, 32, 0)


@pytest.mark.django_db
def test_its_event_is_written_with_it(alice: Person, instance: Instance) -> None:
    first, second = (send(alice.client, instance).json() for _ in range(2))
    rows = [(event.type, event.sequence, event.data) for event in Event.objects.order_by("sequence")]
    assert rows == [("message.queued", 1, first), ("message.queued", 2, second)]


@pytest.mark.django_db
def test_the_type_is_text_when_none_is_given(alice: Person, instance: Instance) -> None:
    body = {"instance": instance.id, "to": "15550100002", "text": {"body": "hello"}}
    assert alice.client.post("/api/messages", body, format="json").json()["type"] == "text"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("to", "chat", "lid"),
    [
        ("+1 (555) 010-0002", "15550100002@s.whatsapp.net", None),
        ("15550100002@s.whatsapp.net", "15550100002@s.whatsapp.net", None),
        ("15550100002:4@s.whatsapp.net", "15550100002@s.whatsapp.net", None),
        ("777@lid", "777@lid", "777@lid"),
        ("120363000000000001@g.us", "120363000000000001@g.us", None),
    ],
)
def test_a_recipient_is_a_phone_a_jid_a_lid_or_a_group(
    alice: Person, instance: Instance, to: str, chat: str, lid: str | None
) -> None:
    body = send(alice.client, instance, to=to).json()
    row = Message.objects.get(pk=body["id"])
    assert (row.chat, row.chat_lid) == (chat, lid)
    assert (body["to"]["id"], body["to"]["lid"]) == (chat, lid)


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["x", "x" * 65_536, "\U0001f600" * 65_536, "a\nb\t\u202e", " ", '"}'])
def test_a_text_is_kept_as_it_is(alice: Person, instance: Instance, text: str) -> None:
    message_id = send(alice.client, instance, text={"body": text}).json()["id"]
    assert alice.client.get(f"/api/messages/{message_id}").json()["text"] == {"body": text}


@pytest.mark.django_db
@pytest.mark.parametrize("state", sorted(set(State.values) - ENDED - {State.STOPPED, State.CREATED, State.LINKING}))
def test_a_number_that_is_only_away_takes_messages(
    alice: Person, make_instance: Callable[..., Instance], state: str
) -> None:
    assert send(alice.client, make_instance(alice, state=state)).status_code == 202


@pytest.mark.django_db
def test_bob_and_a_key_that_may_send_can_send(alice: Person, bob: Person, instance: Instance) -> None:
    assert send(bob.client, instance).status_code == 202
    assert send(alice.program("send"), instance).status_code == 202


@pytest.mark.django_db
@pytest.mark.parametrize("is_held", [False, True])
def test_a_send_with_a_known_key_costs_few_queries(
    alice: Person, instance: Instance, hold: Callable[[Instance], Instance], is_held: bool
) -> None:
    if is_held:
        hold(instance)
    program = alice.program()
    send(program, instance)
    with CaptureQueriesContext(connection) as captured:
        assert send(program, instance).status_code == 202
    statements = [query["sql"] for query in captured if not re.match("SAVEPOINT|RELEASE|BEGIN|COMMIT", query["sql"])]
    kinds = [re.match(r"SELECT .*? FROM \S+|INSERT INTO \S+|\S+", one.strip()) for one in statements]
    lining_up = connection.vendor == "postgresql"
    assert len(statements) == 7 + lining_up, [kind and kind[0][-60:] for kind in kinds]


def test_an_accepted_message_wakes_the_lane_of_its_holder(
    committed: None, alice: Person, held: Instance, worker: Worker
) -> None:
    queue = f"session.{new_id('wrk')}"
    Worker.objects.update(queue=queue)
    assert send(alice.client, held).status_code == 202
    with app.connection_for_read() as broker:
        messages = broker.SimpleQueue(queue)
        wake_up = messages.get(timeout=10)
        assert wake_up.headers["task"] == "instances.tasks.wake"
        assert wake_up.payload[0] == [[held.id]]
        wake_up.ack()
        messages.close()


@pytest.mark.django_db
def test_a_body_in_utf_8_is_taken_to_the_letter(alice: Person, instance: Instance) -> None:
    raw = orjson.dumps({"instance": instance.id, "to": "15550100002", "text": {"body": "Grüße \U0001f44b"}})
    answer = alice.client.post("/api/messages", raw, content_type="application/json")
    assert answer.json()["text"]["body"] == "Grüße \U0001f44b"
