"""Chats follow the ledger."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from conftest import Person
from instances.models import Instance
from messaging.chats import merge, touched
from messaging.chats.tests.conftest import Said
from messaging.models import Chat, Contact, Message

pytestmark = pytest.mark.django_db
Make = Callable[..., Message]
PHONE, LID, GROUP = "15550100002@s.whatsapp.net", "777@lid", "120363000000000001@g.us"


def chats() -> list[tuple[str, str | None, int]]:
    return list(Chat.objects.order_by("jid").values_list("jid", "lid", "unread"))


def test_a_chat_shows_its_last_message_its_name_and_what_is_unread(instance: Instance, receive: Make) -> None:
    first, last = receive(instance), receive(instance)
    (chat,) = Chat.objects.all()
    assert (chat.jid, chat.lid, chat.kind, chat.name) == (PHONE, LID, "person", "Carla")
    assert (chat.last_message_id, chat.last_at, chat.unread) == (last.id, last.sent_at, 2)
    assert first.id != last.id


def test_what_we_send_comes_last_and_is_not_unread(instance: Instance, receive: Make, make_message: Make) -> None:
    receive(instance)
    answer = make_message(instance, status="sent", sent_at=timezone.now())
    touched([answer])
    (chat,) = Chat.objects.all()
    assert (chat.last_message_id, chat.unread, chat.name) == (answer.id, 1, "Carla")


def test_what_is_older_does_not_come_last(instance: Instance, receive: Make) -> None:
    last = receive(instance)
    receive(instance, sent_at=timezone.now() - timedelta(days=1), history=True)
    (chat,) = Chat.objects.all()
    assert (chat.last_message_id, chat.last_at, chat.unread) == (last.id, last.sent_at, 1)


@pytest.mark.parametrize(
    ("jid", "kind"),
    [(GROUP, "group"), ("120363000000000009@newsletter", "newsletter"), ("status@broadcast", "status")],
)
def test_other_kinds_of_chats_are_not_named_after_who_writes(
    instance: Instance, receive: Make, jid: str, kind: str
) -> None:
    receive(instance, chat=jid, chat_lid=None)
    (chat,) = Chat.objects.all()
    assert (chat.kind, chat.name, chat.lid) == (kind, "", None)


def test_each_instance_has_chats_of_its_own(
    alice: Person, instance: Instance, make_instance: Any, receive: Make
) -> None:
    receive(instance)
    receive(make_instance(alice))
    assert Chat.objects.count() == 2


def test_many_messages_are_one_statement(
    instance: Instance, make_message: Make, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    rows = [make_message(instance, chat=f"1555010{n:04d}@s.whatsapp.net", sent_at=timezone.now()) for n in range(50)]
    with django_assert_num_queries(1):
        touched(rows)
    assert Chat.objects.count() == 50
    with django_assert_num_queries(0):
        touched([])


def test_the_chat_of_an_lid_becomes_that_of_the_phone_number(instance: Instance, receive: Make) -> None:
    unknown = receive(instance, chat=LID, sender_phone=None)
    chat_id = Chat.objects.get().id
    receive(instance)
    assert chats() == [(PHONE, LID, 2)]
    assert Chat.objects.get().id == chat_id
    unknown.refresh_from_db()
    assert (unknown.chat, unknown.chat_lid) == (PHONE, LID)


def test_two_chats_of_one_person_become_one(instance: Instance, receive: Make, make_message: Make) -> None:
    touched([make_message(instance, sent_at=timezone.now() - timedelta(hours=1))])
    last = receive(instance, chat=LID, sender_phone=None)
    assert chats() == [(PHONE, None, 0), (LID, LID, 1)]
    for _ in range(2):
        merge(instance.id, LID, PHONE)
        assert chats() == [(PHONE, LID, 1)]
    assert Chat.objects.get().last_message_id == last.id


def test_what_is_unread_in_two_chats_of_one_person_stays_so(
    alice: Person, instance: Instance, receive: Make, number: Said
) -> None:
    """Whichever was read last: no mark hides what came before it to the other."""
    unread = receive(instance, chat=LID, sender_phone=None)
    read = receive(instance, chat_lid=None)
    alice.client.post(f"/api/messages/{read.id}/read")
    merge(instance.id, LID, PHONE)
    assert chats() == [(PHONE, LID, 1)]
    number.read.clear()
    answer = alice.client.post(f"/api/chats/{Chat.objects.get().id}/read")
    assert (answer.json()["unread"], [ids for _, _, ids in number.read]) == (0, [(unread.wa_id,)])
    receive(instance)
    assert chats() == [(PHONE, LID, 1)]


def test_a_message_to_an_lid_goes_to_the_chat_of_the_known_number(instance: Instance, make_message: Make) -> None:
    Contact.objects.create(instance=instance, phone="15550100002", lid=LID)
    row = make_message(instance, chat=LID, chat_lid=LID, sent_at=timezone.now())
    touched([row])
    assert chats() == [(PHONE, LID, 0)]
    row.refresh_from_db()
    assert row.chat == PHONE
