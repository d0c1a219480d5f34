from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_django import DjangoAssertNumQueries

from conftest import Person, assert_problem
from instances.models import Instance
from messaging.models import Contact, Message

pytestmark = [pytest.mark.django_db, pytest.mark.every_case]
MakeMessage = Callable[..., Message]
UNKNOWN = "msg_01h455vb4pex5vsknk084sn02q"


def listed(person: Person, **query: str) -> list[str]:
    answer = person.client.get("/api/messages", query)
    assert answer.status_code == 200, answer.content
    return [row["id"] for row in answer.json()["results"]]


def test_a_message_is_read_by_its_id(
    alice: Person, rita: Person, instance: Instance, make_message: MakeMessage
) -> None:
    row = make_message(instance)
    for person in (alice, rita):
        assert person.client.get(f"/api/messages/{row.id}").json()["id"] == row.id


def test_a_foreign_message_is_the_same_as_a_missing_one(
    charlie: Person, instance: Instance, make_message: MakeMessage
) -> None:
    bodies = []
    for message_id in (make_message(instance).id, UNKNOWN, "garbage", UNKNOWN.replace("msg", "ins"), "%00"):
        body = assert_problem(charlie.client.get(f"/api/messages/{message_id}"), 404, "not_found")
        del body["request_id"]
        bodies.append(body)
    assert all(body == bodies[0] for body in bodies)
    assert listed(charlie) == []


def test_a_key_sees_the_messages_of_its_mode(
    alice: Person, make_instance: Callable[..., Instance], make_message: MakeMessage
) -> None:
    for mode, network in (("test", "sandbox"), ("live", "whatsapp")):
        own = make_message(make_instance(alice, network=network))
        others = [row for row in listed(alice) if row != own.id]
        program = alice.program(mode=mode)
        assert [row["id"] for row in program.get("/api/messages").json()["results"]] == [own.id]
        for other in others:
            assert_problem(program.get(f"/api/messages/{other}"), 404, "not_found")


def test_the_list_shows_the_newest_first_and_of_one_instance_if_asked(
    alice: Person, instance: Instance, make_instance: Callable[..., Instance], make_message: MakeMessage
) -> None:
    second = make_instance(alice)
    rows = [make_message(one) for one in (instance, second, instance)]
    assert listed(alice) == [row.id for row in rows[::-1]]
    assert listed(alice, instance=instance.id) == [rows[2].id, rows[0].id]
    assert listed(alice, instance=second.id) == [rows[1].id]


def test_the_instance_asked_for_must_be_there(
    alice: Person, charlie: Person, instance: Instance, make_instance: Callable[..., Instance]
) -> None:
    for instance_id in (instance.id, "garbage", "ins_01h455vb4pex5vsknk084sn02q"):
        assert_problem(charlie.client.get("/api/messages", {"instance": instance_id}), 404, "not_found")
    real = make_instance(alice, network="whatsapp")
    assert_problem(alice.program().get("/api/messages", {"instance": real.id}), 403, "test_key_on_live")


@pytest.fixture
def chats(instance: Instance, make_message: MakeMessage) -> dict[str, str]:
    """One message in each of several chats: name to id."""
    jids = {
        "phone": {"chat": "15550100002@s.whatsapp.net", "chat_lid": "777@lid"},
        "lid": {"chat": "888@lid", "chat_lid": "888@lid"},
        "group": {"chat": "120363000000000001@g.us"},
        "other": {"chat": "15550100003@s.whatsapp.net"},
    }
    Contact.objects.create(instance=instance, phone="15550100002", lid="777@lid")
    return {name: make_message(instance, **columns).id for name, columns in jids.items()}


@pytest.mark.parametrize(
    ("chat", "name"),
    [
        ("15550100002", "phone"),
        ("+15550100002", "phone"),
        ("+1 (555) 010-0002", "phone"),
        ("15550100002@s.whatsapp.net", "phone"),
        ("15550100002:3@s.whatsapp.net", "phone"),
        ("777@lid", "phone"),
        ("888@lid", "lid"),
        ("120363000000000001@g.us", "group"),
    ],
)
def test_a_chat_is_found_by_any_of_its_names(alice: Person, chats: dict[str, str], chat: str, name: str) -> None:
    assert listed(alice, chat=chat) == [chats[name]]


def test_a_plus_that_was_not_escaped_is_understood(alice: Person, chats: dict[str, str]) -> None:
    answer = alice.client.get("/api/messages?chat=+15550100002")
    assert [row["id"] for row in answer.json()["results"]] == [chats["phone"]]


def test_the_filters_go_together(
    alice: Person, chats: dict[str, str], instance: Instance, make_instance: Callable[..., Instance]
) -> None:
    assert listed(alice, instance=instance.id, chat="15550100003") == [chats["other"]]
    assert listed(alice, instance=make_instance(alice).id, chat="15550100003") == []


@pytest.mark.parametrize("chat", ["me", "1", "@", "15550100002@c.us", "\x00"])
def test_what_is_no_chat_is_refused(alice: Person, chat: str) -> None:
    body = assert_problem(alice.client.get("/api/messages", {"chat": chat}), 400, "invalid_request")
    assert (body["errors"][0]["pointer"], body["errors"][0]["code"]) == ("/chat", "invalid_recipient")


def test_a_page_costs_the_same_however_many_instances(
    alice: Person,
    make_instance: Callable[..., Instance],
    make_message: MakeMessage,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for _ in range(5):
        make_message(make_instance(alice))
    program = alice.program()
    program.get("/api/messages")
    with django_assert_num_queries(2):  # the messages, and what others did to them
        program.get("/api/messages")


def test_filters_stay_on_the_next_page(alice: Person, instance: Instance, make_message: MakeMessage) -> None:
    rows = [make_message(instance) for _ in range(3)]
    make_message(instance, chat="15550100003@s.whatsapp.net")
    first = alice.client.get("/api/messages", {"chat": "15550100002", "limit": "2"}).json()
    second = alice.client.get(first["next"]).json()
    found = [row["id"] for page in (first, second) for row in page["results"]]
    assert found == [row.id for row in rows[::-1]]
