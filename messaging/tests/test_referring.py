"""Messages that sends name: looked up when the send is accepted, refused where they cannot be named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from conftest import Person, assert_problem
from instances.models import Instance
from media.models import Media
from messaging.models import Message
from messaging.states import Direction, Status

pytestmark = pytest.mark.django_db
CHAT, GROUP, LID = "15550100002@s.whatsapp.net", "120363000000000001@g.us", "777@lid"
Make = Callable[..., Message]


def send(person: Person, instance: Instance, type_: str, content: Any, **others: Any) -> Any:
    body = {"instance": instance.id, "to": "15550100002", "type": type_, type_: content} | others
    return person.client.post("/api/messages", body, format="json")


def react(person: Person, instance: Instance, ref: str, **others: Any) -> Any:
    return send(person, instance, "reaction", {"message_id": ref, "emoji": "\u2764"}, **others)


@pytest.fixture
def own(instance: Instance, make_message: Make) -> Message:
    """Sent a moment ago."""
    return make_message(instance, status=Status.SENT, wa_id="3EB0AA", sent_at=timezone.now())


@pytest.fixture
def theirs(instance: Instance, make_message: Make) -> Message:
    columns = {"sender_phone": "15550100002", "sender_lid": LID, "sender_name": "Carla", "chat_lid": LID}
    return make_message(
        instance, direction=Direction.INBOUND, status=Status.RECEIVED, wa_id="3EB0BB", sent_at=timezone.now(), **columns
    )


def test_a_message_is_named_by_our_id_or_by_whatsapps(alice: Person, instance: Instance, theirs: Message) -> None:
    for ref in (theirs.id, "3EB0BB"):
        answer = react(alice, instance, ref)
        assert answer.status_code == 202
        assert answer.json()["reaction"] == {"message_id": theirs.id, "wa_id": "3EB0BB", "emoji": "\u2764"}


def test_an_answer_shows_whom_it_answers(alice: Person, instance: Instance, theirs: Message) -> None:
    answer = send(alice, instance, "text", {"body": "x"}, context={"message_id": "3EB0BB"}).json()
    carla = {"id": CHAT, "phone": "15550100002", "lid": LID, "name": "Carla"}
    assert answer["context"] == {"message_id": theirs.id, "wa_id": "3EB0BB", "from": carla}
    assert Message.objects.get(pk=answer["id"]).attributes["context"] == answer["context"]


def test_a_chat_is_the_same_by_its_lid(alice: Person, instance: Instance, theirs: Message) -> None:
    assert react(alice, instance, theirs.id, to=LID).status_code == 202


def refusal(answer: Any, status: int, code: str, pointer: str) -> None:
    problem = assert_problem(answer, status, code)
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(pointer, code)]


@pytest.mark.parametrize("ref", ["3EB0ZZ", "msg_01h455vb4pex5vsknk084sn02q", "msg_x"])
def test_what_is_not_there_is_refused(alice: Person, instance: Instance, own: Message, ref: str) -> None:
    refusal(react(alice, instance, ref), 422, "message_not_found", "/reaction/message_id")
    answer = send(alice, instance, "text", {"body": "x"}, context={"message_id": ref})
    refusal(answer, 422, "message_not_found", "/context/message_id")
    assert Message.objects.count() == 1


def test_messages_of_other_chats_numbers_and_tenants_are_not_there(
    alice: Person, charlie: Person, make_instance: Callable[..., Instance], instance: Instance, own: Message
) -> None:
    refusal(react(alice, instance, own.id, to="15550100009"), 422, "message_not_found", "/reaction/message_id")
    refusal(react(alice, make_instance(alice), own.id), 422, "message_not_found", "/reaction/message_id")
    refusal(react(charlie, make_instance(charlie), own.id), 422, "message_not_found", "/reaction/message_id")


def test_what_was_written_in_a_group_can_be_answered_privately(
    alice: Person, instance: Instance, make_message: Make
) -> None:
    columns = {"chat": GROUP, "sender_phone": "15550100002", "direction": Direction.INBOUND, "wa_id": "3EB0CC"}
    asked = make_message(instance, status=Status.RECEIVED, **columns)
    context = {"context": {"message_id": asked.id}}
    assert send(alice, instance, "text", {"body": "x"}, **context).status_code == 202
    answer = send(alice, instance, "text", {"body": "x"}, **context, to="15550100009")
    refusal(answer, 422, "message_not_found", "/context/message_id")


def test_what_has_no_id_of_whatsapp_yet_is_refused(alice: Person, instance: Instance, make_message: Make) -> None:
    queued = make_message(instance)
    refusal(react(alice, instance, queued.id), 409, "not_sent_yet", "/reaction/message_id")


def test_a_deleted_message_is_left_alone(alice: Person, instance: Instance, own: Message) -> None:
    Message.objects.update(revoked_at=timezone.now())
    refusal(react(alice, instance, own.id), 422, "not_applicable", "/reaction/message_id")


@pytest.mark.parametrize(
    ("type_", "content", "minutes", "code"),
    [
        ("edit", {"text": {"body": "new"}}, 14, None),
        ("edit", {"text": {"body": "new"}}, 16, "too_old"),
        ("edit", {"caption": "new"}, 1, "not_applicable"),
        ("revoke", {}, 59 * 60, None),
        ("revoke", {}, 61 * 60, "too_old"),
        ("pin", {"seconds": 0}, 10**6, None),
    ],
)
def test_how_long_and_what_can_be_changed(
    alice: Person, instance: Instance, own: Message, type_: str, content: Any, minutes: int, code: str | None
) -> None:
    Message.objects.update(sent_at=timezone.now() - timedelta(minutes=minutes))
    answer = send(alice, instance, type_, content | {"message_id": own.id})
    if code is None:
        assert answer.status_code == 202, answer.content
    else:
        refusal(answer, 422, code, f"/{type_}/message_id")


def test_only_ones_own_can_be_edited_and_in_groups_an_admin_can_delete(
    alice: Person, instance: Instance, theirs: Message
) -> None:
    edit = {"message_id": theirs.id, "text": {"body": "new"}}
    refusal(send(alice, instance, "edit", edit), 422, "not_yours", "/edit/message_id")
    revoke = {"message_id": theirs.id}
    refusal(send(alice, instance, "revoke", revoke), 422, "not_yours", "/revoke/message_id")
    Message.objects.update(chat=GROUP, chat_lid=None)
    assert send(alice, instance, "revoke", revoke, to=GROUP).status_code == 202


def test_a_forwarded_text_is_a_text(alice: Person, instance: Instance, theirs: Message) -> None:
    answer = send(alice, instance, "forward", {"message_id": theirs.id}, to="15550100009").json()
    assert (answer["type"], answer["text"], answer["forwarded"]) == ("text", {"body": "hello"}, True)
    assert "forward" not in answer


def test_a_forwarded_file_is_the_same_file(alice: Person, instance: Instance, make_message: Make) -> None:
    file = Media.objects.create(organization=alice.organization, source="inbound", status="stored")
    content = {"id": file.id, "status": "stored", "size": 5, "caption": "Look", "voice": True}
    columns = {"type": "audio", "content": content, "media": file, "wa_id": "3EB0DD", "status": Status.SENT}
    kept = make_message(instance, **columns)
    answer = send(alice, instance, "forward", {"message_id": kept.id}).json()
    assert answer["audio"].items() >= {"id": file.id, "caption": "Look", "voice": True}.items()
    assert Message.objects.get(pk=answer["id"]).media_id == file.id
    Message.objects.filter(pk=kept.id).update(media=None)
    answer = send(alice, instance, "forward", {"message_id": kept.id})
    refusal(answer, 422, "not_applicable", "/forward/message_id")


@pytest.mark.parametrize(
    "columns",
    [
        {"type": "reaction", "content": {}},
        {"type": "poll"},
        {"attributes": {"view_once": True}},
        {"type": "unsupported"},
    ],
)
def test_not_everything_can_be_forwarded(
    alice: Person, instance: Instance, own: Message, columns: dict[str, Any]
) -> None:
    Message.objects.update(**columns)
    answer = send(alice, instance, "forward", {"message_id": own.id})
    refusal(answer, 422, "not_applicable", "/forward/message_id")


def test_a_batch_looks_all_of_them_up_at_once(alice: Person, instance: Instance, own: Message, theirs: Message) -> None:
    one = {"instance": instance.id, "to": "15550100002", "type": "text", "text": {"body": "x"}}
    plain = {"messages": [one] * 3}
    naming = {"messages": [one | {"context": {"message_id": ref}} for ref in (own.id, "3EB0BB", "nothing")]}
    program = alice.program()

    def queries(body: dict[str, Any]) -> int:
        with CaptureQueriesContext(connection) as captured:
            answer = program.post("/api/messages/batch", body, format="json")
        assert answer.status_code == 202
        return sum("SAVEPOINT" not in query["sql"] for query in captured)

    queries(plain)
    assert queries(naming) == queries(plain) + 1
