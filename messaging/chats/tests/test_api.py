from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from config.ids import id_at
from conftest import Person, assert_problem, wait_for
from instances.models import Instance
from messaging.chats import touched
from messaging.chats.tests.conftest import Said
from messaging.models import Chat, Message

pytestmark = pytest.mark.django_db
Make = Callable[..., Message]
UNKNOWN = "cht_01h455vb4pex5vsknk084sn02q"


def listed(person: Person, instance: Instance, **query: Any) -> Any:
    answer = person.client.get("/api/chats", {"instance": instance.id, **query})
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_chats_are_listed_with_their_last_messages_newest_first(
    alice: Person, rita: Person, instance: Instance, receive: Make
) -> None:
    old = receive(instance, chat="15550100003@s.whatsapp.net", chat_lid=None)
    new = receive(instance)
    for person in (alice, rita):
        rows = listed(person, instance)["results"]
        assert [row["last_message"]["id"] for row in rows] == [new.id, old.id]
    assert (
        rows[0].items()
        >= {
            "instance": instance.id,
            "kind": "person",
            "jid": "15550100002@s.whatsapp.net",
            "phone": "15550100002",
            "lid": "777@lid",
            "name": "Carla",
            "unread": 1,
        }.items()
    )
    assert alice.client.get(f"/api/chats/{rows[0]['id']}").json() == rows[0]


def test_the_list_goes_on_where_the_page_ends(alice: Person, instance: Instance, make_message: Make) -> None:
    now = timezone.now()  # all at one time
    touched([make_message(instance, chat=f"1555010{n:04d}@s.whatsapp.net", sent_at=now) for n in range(5)])
    page, found = listed(alice, instance, limit=2), []
    while True:
        found += [row["jid"] for row in page["results"]]
        if page["next"] is None:
            break
        page = alice.client.get(page["next"]).json()
    assert len(found) == len(set(found)) == 5


def test_a_chat_whose_last_message_is_gone_is_still_listed(alice: Person, instance: Instance, receive: Make) -> None:
    receive(instance).delete()
    (row,) = listed(alice, instance)["results"]
    assert row["last_message"] is None


def test_a_foreign_chat_is_the_same_as_a_missing_one(
    alice: Person, charlie: Person, instance: Instance, receive: Make
) -> None:
    receive(instance)
    chat_id = Chat.objects.get().id
    for path in ("", "/read", "/typing"):
        for one in (chat_id, UNKNOWN, "garbage"):
            ask = charlie.client.post if path else charlie.client.get
            body = {"state": "paused"} if path == "/typing" else {}
            assert_problem(ask(f"/api/chats/{one}{path}", body, format="json"), 404, "not_found")
    assert_problem(charlie.client.get("/api/chats", {"instance": instance.id}), 404, "not_found")
    assert_problem(alice.client.get("/api/chats"), 400, "invalid_request")


def test_a_chat_is_marked_as_read_once(alice: Person, instance: Instance, receive: Make, number: Said) -> None:
    rows = [receive(instance) for _ in range(2)]
    chat_id = Chat.objects.get().id
    for _ in range(2):
        answer = alice.client.post(f"/api/chats/{chat_id}/read")
        assert (answer.status_code, answer.json()["unread"]) == (200, 0)
    ((place, sender, wa_ids),) = number.read
    assert (place, sender) == ("777@lid", "777@lid")
    assert set(wa_ids) == {row.wa_id for row in rows}
    assert not Message.objects.filter(read_at=None).exists()
    receive(instance)
    assert alice.client.get(f"/api/chats/{chat_id}").json()["unread"] == 1


def test_a_message_is_marked_with_those_before_it(
    alice: Person, instance: Instance, receive: Make, number: Said
) -> None:
    rows = [receive(instance) for _ in range(3)]
    for row in (rows[1], rows[0]):
        shown = alice.client.post(f"/api/messages/{row.id}/read").json()
        assert (shown["id"], shown["read_at"] is None) == (row.id, False)
    ((_, _, wa_ids),) = number.read
    assert set(wa_ids) == {rows[0].wa_id, rows[1].wa_id}
    assert Chat.objects.get().unread == 1


def test_an_album_is_as_unread_as_its_items(alice: Person, instance: Instance, receive: Make, number: Said) -> None:
    first = receive(instance)
    album = receive(instance, type="album", content={"images": 2, "videos": 0})
    items = [receive(instance, type="image", content={"status": "pending"}) for _ in range(2)]
    chat = f"/api/chats/{Chat.objects.get().id}"
    assert alice.client.get(chat).json()["unread"] == 3
    alice.client.post(f"/api/messages/{first.id}/read")
    assert alice.client.get(chat).json()["unread"] == 2
    assert alice.client.post(f"{chat}/read").json()["unread"] == 0
    assert {wa_id for _, _, ids in number.read for wa_id in ids} == {row.wa_id for row in (first, album, *items)}


def test_in_a_group_every_sender_is_told(alice: Person, instance: Instance, receive: Make, number: Said) -> None:
    group = {"chat": "120363000000000001@g.us", "chat_lid": None}
    one, two = receive(instance, **group), receive(instance, **group)
    other = receive(instance, **group, sender_lid=None, sender_phone="15550100003")
    alice.client.post(f"/api/chats/{Chat.objects.get().id}/read")
    assert {(place, sender, frozenset(ids)) for place, sender, ids in number.read} == {
        (group["chat"], "777@lid", frozenset({one.wa_id, two.wa_id})),
        (group["chat"], "15550100003@s.whatsapp.net", frozenset({other.wa_id})),
    }


def test_what_we_sent_cannot_be_marked(alice: Person, instance: Instance, make_message: Make, number: Said) -> None:
    answer = alice.client.post(f"/api/messages/{make_message(instance).id}/read")
    assert_problem(answer, 409, "not_received")


def test_a_number_that_is_offline_marks_nothing(alice: Person, instance: Instance, receive: Make) -> None:
    row = receive(instance)
    answer = alice.client.post(f"/api/messages/{row.id}/read")
    assert_problem(answer, 503, "instance_offline")
    assert answer["Retry-After"] == "5"
    assert Chat.objects.get().unread == 1


def test_typing_is_shown_and_ends_by_itself(alice: Person, instance: Instance, receive: Make, number: Said) -> None:
    receive(instance)
    path = f"/api/chats/{Chat.objects.get().id}/typing"
    assert alice.client.post(path, {"state": "recording"}, format="json").json() == {
        "state": "recording",
        "seconds": None,
    }
    alice.client.post(path, {"state": "composing", "seconds": 1}, format="json")
    jid = "15550100002@s.whatsapp.net"
    wait_for(lambda: number.shown == [(jid, "recording"), (jid, "composing"), (jid, "paused")])


@pytest.mark.parametrize(
    ("body", "pointer"),
    [({}, "/state"), ({"state": "sleeping"}, "/state"), ({"state": "paused", "seconds": 26}, "/seconds")],
)
def test_what_cannot_be_shown_is_refused(
    alice: Person, instance: Instance, receive: Make, body: dict[str, Any], pointer: str
) -> None:
    receive(instance)
    answer = alice.client.post(f"/api/chats/{Chat.objects.get().id}/typing", body, format="json")
    assert assert_problem(answer, 400, "invalid_request")["errors"][0]["pointer"] == pointer


def test_history_is_not_unread_and_moves_no_mark(
    alice: Person, instance: Instance, receive: Make, number: Said
) -> None:
    old = receive(instance, history=True, id=id_at(timezone.now() - timedelta(days=3), "msg"))
    chat = f"/api/chats/{Chat.objects.get().id}"
    assert alice.client.get(chat).json()["unread"] == 0
    first, second = receive(instance), receive(instance)
    older = receive(instance, history=True, id=id_at(timezone.now() - timedelta(days=9), "msg"))
    assert alice.client.get(chat).json()["unread"] == 2
    alice.client.post(f"/api/messages/{first.id}/read")
    for row in (old, older):
        assert alice.client.post(f"/api/messages/{row.id}/read").status_code == 200
    assert alice.client.get(chat).json()["unread"] == 1
    assert [ids for _, _, ids in number.read] == [(first.wa_id,)]
    alice.client.post(f"{chat}/read")
    assert number.read[-1][2] == (second.wa_id,)
    receive(instance, history=True, id=id_at(timezone.now() - timedelta(days=5), "msg"))
    assert alice.client.get(chat).json()["unread"] == 0


def test_what_is_gone_is_unread_no_more(alice: Person, instance: Instance, receive: Make, number: Said) -> None:
    receive(instance)
    Message.objects.all().delete()
    answer = alice.client.post(f"/api/chats/{Chat.objects.get().id}/read")
    assert (answer.json()["unread"], number.read) == (0, [])


def test_a_channel_is_marked_as_read(alice: Person, instance: Instance, receive: Make, number: Said) -> None:
    channel = "120363000000000009@newsletter"
    receive(instance, chat=channel, chat_lid=None, sender_phone=None, sender_lid=None)
    answer = alice.client.post(f"/api/chats/{Chat.objects.get().id}/read")
    assert (answer.status_code, answer.json()["unread"]) == (200, 0)
    assert number.read[0][:2] == (channel, channel)
