"""All that is kept of a person is handed out, and erased."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from audit.models import Entry
from conftest import Person, assert_problem
from instances.models import Instance
from instances.services import draft
from media.models import Media
from messaging import tasks
from messaging.contacts import services
from messaging.models import Chat, Contact, Erasure, Message
from messaging.selectors import message_data
from webhooks import events
from webhooks.models import Event

pytestmark = pytest.mark.django_db
Make = Callable[..., Message]
GROUP = {"chat": "120363000000000001@g.us", "chat_lid": None}
PETER = {"sender_phone": "15550100003", "sender_lid": "888@lid", "sender_name": "Peter"}


@pytest.fixture
def world(instance: Instance, receive: Make, make_message: Make) -> dict[str, Message]:
    """Carla's chat and what she and Peter wrote in a group, with the events of all of it."""
    Contact.objects.create(instance=instance, phone="15550100002", lid="777@lid", name="Carla")
    rows = {
        "hers": receive(instance),
        "to her": make_message(instance, status="sent"),
        "in the group": receive(instance, **GROUP),
        "of Peter": receive(instance, **GROUP, **PETER),
        "Peter's": receive(instance, chat="15550100003@s.whatsapp.net", **(PETER | {"chat_lid": "888@lid"})),
    }
    events.append([draft(instance, "message.received", message_data(row, instance)) for row in rows.values()])
    return rows


def exported(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.getvalue().splitlines()]


@pytest.mark.parametrize("contact", ["15550100002", "+1 555 010 0002", "777@lid", "15550100002@s.whatsapp.net"])
def test_a_persons_data_is_exported_by_any_of_their_names(
    alice: Person, instance: Instance, world: dict[str, Message], contact: str
) -> None:
    rows = exported(alice.client.get(f"/api/contacts/{contact}/export", {"instance": instance.id}))
    assert [row["kind"] for row in rows] == ["contact", "chat", "message", "message", "message"]
    assert [row["data"]["id"] for row in rows[2:]] == [world[name].id for name in ("hers", "to her", "in the group")]


def test_a_stranger_has_no_data(alice: Person, instance: Instance, world: dict[str, Message]) -> None:
    assert exported(alice.client.get("/api/contacts/15550100009/export", {"instance": instance.id})) == []


def erase(person: Person, instance: Instance, contact: str = "15550100002") -> Any:
    return person.client.delete(f"/api/contacts/{contact}?instance={instance.id}")


def test_a_persons_data_is_erased_and_everybody_elses_stays(
    alice: Person, instance: Instance, world: dict[str, Message]
) -> None:
    answer = erase(alice, instance)
    assert (answer.status_code, answer.json()["status"]) == (202, "running")
    assert erase(alice, instance).json()["id"] == answer.json()["id"]
    tasks.erase(answer.json()["id"])
    shown = alice.client.get(f"/api/erasures/{answer.json()['id']}").json()
    assert (shown["status"], shown["messages"], shown["events"]) == ("done", 3, 3)
    assert set(Message.objects.values_list("pk", flat=True)) == {world["of Peter"].id, world["Peter's"].id}
    assert set(Chat.objects.values_list("jid", flat=True)) == {GROUP["chat"], "15550100003@s.whatsapp.net"}
    assert not Contact.objects.exists()
    for model in (Event, Entry, Erasure, Message, Chat):
        for row in model.objects.values():
            assert "15550100002" not in str(row)
            assert "Carla" not in str(row)
            assert "777@lid" not in str(row)
    sequences = list(Event.objects.order_by("sequence").values_list("sequence", flat=True))
    assert sequences == list(range(1, len(sequences) + 1))


def test_an_erasure_goes_on_in_steps_and_after_a_lost_hint(
    alice: Person, instance: Instance, world: dict[str, Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_STEP", "_EVENTS", "_HEARD"):
        monkeypatch.setattr(services, name, 1)
    erasure_id = erase(alice, instance).json()["id"]
    assert services.go_on(erasure_id=erasure_id, seconds=0) is True
    assert services.unfinished() == [erasure_id]
    tasks.sweep_erasures()
    assert services.unfinished() == []
    assert Erasure.objects.get().messages == 3
    assert services.go_on(erasure_id=erasure_id) is False


def test_the_same_person_at_another_number_stays(
    alice: Person, instance: Instance, make_instance: Any, receive: Make, world: dict[str, Message]
) -> None:
    other = receive(make_instance(alice))
    tasks.erase(erase(alice, instance).json()["id"])
    assert Message.objects.filter(pk=other.pk).exists()


def test_who_may_not_manage_erases_and_exports_nothing(
    bob: Person, charlie: Person, instance: Instance, world: dict[str, Message]
) -> None:
    assert_problem(erase(bob, instance), 403, "permission_denied")
    assert_problem(erase(charlie, instance), 404, "not_found")
    path = f"/api/contacts/15550100002/export?instance={instance.id}"
    assert_problem(bob.client.get(path), 403, "permission_denied")
    assert_problem(charlie.client.get(path), 404, "not_found")


@pytest.mark.parametrize(
    ("contact", "status", "code"),
    [("nobody", 404, "not_found"), ("120363000000000001@g.us", 409, "not_a_person")],
)
def test_only_people_can_be_erased(alice: Person, instance: Instance, contact: str, status: int, code: str) -> None:
    assert_problem(erase(alice, instance, contact), status, code)


def test_a_chat_is_exported_the_oldest_first(alice: Person, instance: Instance, world: dict[str, Message]) -> None:
    chat = Chat.objects.get(jid=GROUP["chat"])
    rows = exported(alice.client.get(f"/api/chats/{chat.id}/export"))
    assert [row["id"] for row in rows] == [world["in the group"].id, world["of Peter"].id]
    listed = alice.client.get("/api/messages", {"chat": str(GROUP["chat"])}).json()["results"]
    assert rows == listed[::-1]


def test_the_files_of_a_person_are_erased_with_their_messages(
    alice: Person, instance: Instance, receive: Make, world: dict[str, Message]
) -> None:
    def file(source: str, *messages: str) -> Media:
        row = Media.objects.create(
            organization=instance.organization, source=source, status="stored", filename="carla.jpg", size=1
        )
        Message.objects.filter(pk__in=[world[name].pk for name in messages]).update(media=row)
        return row

    hers, shared, uploaded = file("inbound", "hers"), file("inbound", "in the group"), file("upload", "to her")
    Message.objects.filter(pk=world["of Peter"].pk).update(media=shared)
    tasks.erase(erase(alice, instance).json()["id"])
    for row, status, name in (
        (hers, "expired", ""),
        (shared, "stored", "carla.jpg"),
        (uploaded, "stored", "carla.jpg"),
    ):
        row.refresh_from_db()
        assert (row.status, row.filename) == (status, name)
