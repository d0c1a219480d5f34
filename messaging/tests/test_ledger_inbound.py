"""What a number receives is in the ledger exactly once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from conftest import Person
from instances.holding.writer import Item
from instances.models import Instance
from instances.whatsapp.news import Inbound, Receipt
from instances.whatsapp.news import Person as Sender
from messaging.models import EarlyReceipt, Message
from messaging.receiving.messages import inbound
from messaging.states import Direction, Origin, Status
from messaging.tests.conftest import Write
from webhooks.models import Event

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
CARLA = Sender("15550100002", "777@lid", "Carla")
HELLO = Inbound("3EB0A", "15550100002@s.whatsapp.net", "777@lid", CARLA, False, NOON, "text", {"body": "hello"})


def test_a_message_received_is_a_row_and_an_event(write: Write, held: Instance) -> None:
    write(HELLO)
    row = Message.objects.get()
    assert (row.direction, row.status, row.origin) == (Direction.INBOUND, Status.RECEIVED, None)
    assert (row.chat, row.chat_lid, row.wa_id, row.sent_at) == (HELLO.chat, "777@lid", "3EB0A", NOON)
    event = Event.objects.get()
    assert (event.type, event.sequence) == ("message.received", 1)
    carla = {"id": "15550100002@s.whatsapp.net", "phone": "15550100002", "lid": "777@lid", "name": "Carla"}
    assert event.data["from"] == carla
    assert event.data["to"]["phone"] == held.phone
    assert event.data.items() >= {"id": row.id, "type": "text", "text": {"body": "hello"}}.items()


def test_it_is_shown_as_it_was_reported(write: Write, alice: Person) -> None:
    write(HELLO)
    (row,) = alice.client.get("/api/messages", {"chat": "+1 555 010 0002"}).json()["results"]
    assert row == Event.objects.get().data


@pytest.mark.parametrize("together", [True, False])
def test_a_message_that_comes_twice_is_one_row_and_one_event(write: Write, together: bool) -> None:
    other = replace(HELLO, wa_id="3EB0B", content={"body": "again"})
    news = [HELLO, HELLO, other, HELLO]
    if together:
        write(*news)
    else:
        for one in news:
            write(one)
    assert sorted(Message.objects.values_list("wa_id", flat=True)) == ["3EB0A", "3EB0B"]
    assert [event.data["wa_id"] for event in Event.objects.order_by("sequence")] == ["3EB0A", "3EB0B"]


@pytest.mark.django_db
def test_a_repetition_inside_one_group_is_passed_over_by_the_handler(instance: Instance) -> None:
    items = [Item(instance.id, 1, news) for news in (HELLO, HELLO, replace(HELLO, wa_id="3EB0B"), HELLO)]
    written = inbound(items, {instance.id: instance})
    assert len(written.results) == 4
    assert [draft.data["wa_id"] for draft in written.drafts] == ["3EB0A", "3EB0B"]


def test_two_numbers_may_receive_the_same_id(
    write: Write, alice: Person, make_instance: Callable[..., Instance], hold: Callable[[Instance], Instance]
) -> None:
    write(HELLO)
    write(HELLO, instance=hold(make_instance(alice)))
    assert Message.objects.count() == 2


def test_what_we_sent_ourselves_does_not_come_back(
    write: Write, held: Instance, make_message: Callable[..., Message]
) -> None:
    make_message(held, status=Status.SENT, wa_id="3EB0A")
    write(replace(HELLO, from_me=True))
    assert Message.objects.count() == 1
    assert not Event.objects.exists()


def test_what_was_written_on_the_phone_is_an_outbound_row(write: Write, held: Instance) -> None:
    write(replace(HELLO, from_me=True, sender=Sender(held.phone, None)))
    row = Message.objects.get()
    assert (row.direction, row.status, row.origin) == (Direction.OUTBOUND, Status.SENT, Origin.PHONE)
    event = Event.objects.get()
    assert event.type == "message.sent"
    assert (event.data["origin"], event.data["to"]["phone"]) == ("phone", "15550100002")


def test_receipts_move_what_was_written_on_the_phone(write: Write) -> None:
    write(replace(HELLO, from_me=True), Receipt(("3EB0A",), "read", NOON))
    assert Message.objects.get().status == Status.READ
    assert not EarlyReceipt.objects.exists()


def test_a_group_message_names_its_sender(write: Write) -> None:
    write(replace(HELLO, chat="120363000000000001@g.us", chat_lid=None))
    data = Event.objects.get().data
    assert data["chat"] == {"id": "120363000000000001@g.us", "phone": None, "lid": None, "name": None}
    assert data["from"]["name"] == "Carla"


def test_a_sender_may_be_known_by_lid_alone(write: Write) -> None:
    write(replace(HELLO, chat="777@lid", sender=Sender(None, "777@lid", "")))
    sender = Event.objects.get().data["from"]
    assert sender == {"id": "777@lid", "phone": None, "lid": "777@lid", "name": None}


@pytest.mark.parametrize("body", ["\U0001f600", "\u202eabc", "x" * 10_000])
def test_no_text_is_too_strange(write: Write, body: str) -> None:
    write(replace(HELLO, content={"body": body}))
    assert Message.objects.get().content["body"] == body
    assert Event.objects.get().data["text"]["body"] == body


def test_of_a_text_that_is_too_long_for_an_event_the_beginning_is_told(write: Write) -> None:
    write(replace(HELLO, content={"body": "x" * 70_000}))
    assert Message.objects.get().content["body"] == "x" * 70_000
    data = Event.objects.get().data
    assert (data["text"]["body"], data["truncated"]) == ("x" * 3999 + "…", True)
