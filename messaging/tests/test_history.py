"""The phone's history becomes chats and messages, in small steps, once, without events."""

from __future__ import annotations

import hashlib
import zlib
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from conftest import Person as Actor
from instances.models import Instance
from instances.whatsapp.news import HistoryBlob, Inbound, Person
from instances.whatsapp.protos import proto
from media.models import Media
from messaging import tasks
from messaging.models import Chat, Contact, HistoryPart, Message
from messaging.receiving import history
from messaging.states import Direction
from messaging.tests.conftest import Write
from subscriptions.models import DailyUsage
from webhooks.models import Event

LID, GROUP = "777@lid", "120363000000000001@g.us"


def key(number: int | str, *, me: bool = False, participant: str = "") -> dict[str, Any]:
    return {"ID": f"H{number}", "fromMe": me, "participant": participant}


def web(number: int, *, ago: int = 60, me: bool = False, participant: str = "", **more: Any) -> dict[str, Any]:
    at = int(timezone.now().timestamp()) - ago + number
    defaults = {"key": key(number, me=me, participant=participant), "messageTimestamp": at}
    return {"message": defaults | {"message": {"conversation": f"text {number}"}} | more}


def blob(*conversations: dict[str, Any], **more: Any) -> HistoryBlob:
    sync = proto.HistorySync(Data={"syncType": 3, "progress": 100, "conversations": list(conversations)} | more)
    return HistoryBlob(zlib.compress(sync.SerializePartialToString()))


def chat(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"ID": LID, "pnJID": "15550100002@s.whatsapp.net", "name": "Carla", "messages": list(messages)} | more


def imported() -> None:
    for part in HistoryPart.objects.order_by("pk"):
        history.import_part(part.pk)


def texts() -> list[str]:
    return [row.content["body"] for row in Message.objects.filter(type="text").order_by("sent_at")]


def test_conversations_become_chats_and_messages(write: Write, alice: Actor) -> None:
    write(blob(chat(web(1), web(2, me=True, status=4)), {"ID": GROUP, "name": "Friends", "messages": [
        web(3, participant="888@lid", pushName="Dana")]}))  # fmt: skip
    assert not Message.objects.exists()
    imported()
    assert texts() == ["text 1", "text 2", "text 3"]
    first, second, third = Message.objects.order_by("wa_id")
    assert (first.direction, first.status, first.chat, first.chat_lid) == (
        Direction.INBOUND, "received", "15550100002@s.whatsapp.net", LID,
    )  # fmt: skip
    assert (second.direction, second.status, second.origin) == (Direction.OUTBOUND, "read", "phone")
    assert (third.chat, third.sender_lid, third.sender_name) == (GROUP, "888@lid", "Dana")
    assert all(row.history for row in (first, second, third))
    assert [row.created_at for row in Message.objects.order_by("id")] == [row.sent_at for row in (first, second, third)]
    assert set(Chat.objects.values_list("jid", "name")) == {
        ("15550100002@s.whatsapp.net", "Carla"), (GROUP, "Friends"),
    }  # fmt: skip
    (event,) = Event.objects.all()
    assert (event.type, event.data) == (
        "history.synced", {"kind": "recent", "progress": 100, "chats": 2, "messages": 3},
    )  # fmt: skip
    assert not bytes(HistoryPart.objects.get().data)
    assert not DailyUsage.objects.exists()


def test_events_are_told_if_they_are_asked_for(write: Write, held: Instance) -> None:
    Instance.objects.filter(pk=held.pk).update(settings={"history": {"events": True}})
    write(blob(chat(web(1))))
    imported()
    assert [event.type for event in Event.objects.order_by("sequence")] == ["message.received", "history.synced"]


def test_none_is_kept_if_none_is_wanted(write: Write, held: Instance) -> None:
    Instance.objects.filter(pk=held.pk).update(settings={"history": {"days": 0}})
    write(blob(chat(web(1))))
    assert not HistoryPart.objects.exists()


def test_it_reaches_as_far_back_as_is_wanted(write: Write, held: Instance) -> None:
    Instance.objects.filter(pk=held.pk).update(settings={"history": {"days": 2, "max_messages": 2}})
    write(blob(chat(web(1, ago=3 * 86_400), web(2), web(3), web(4))))
    imported()
    assert texts() == ["text 3", "text 4"]


def test_what_is_there_already_is_passed_over(write: Write) -> None:
    live = Inbound("H1", "15550100002@s.whatsapp.net", LID, Person("15550100002", LID), False, timezone.now(),
                   "text", {"body": "live"})  # fmt: skip
    write(live, blob(chat(web(1), web(2))), blob(chat(web(1), web(2))))
    imported()
    assert sorted(texts()) == ["live", "text 2"]


def test_an_import_that_died_goes_on_where_it_was(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "STEP", 3)
    write(blob(chat(*(web(n) for n in range(10)))))
    part = HistoryPart.objects.get()
    steps = iter(range(2))
    real = history._import

    def dying(*arguments: Any) -> bool:
        if next(steps, None) is None:
            raise SystemExit
        return real(*arguments)

    monkeypatch.setattr(history, "_import", dying)
    with pytest.raises(SystemExit):
        history.import_part(part.pk)
    part.refresh_from_db()
    assert (part.done, Message.objects.count()) == (6, 6)
    monkeypatch.setattr(history, "_import", real)
    imported()
    assert texts() == [f"text {n}" for n in range(10)]
    assert Event.objects.get().data["messages"] == 10


@pytest.mark.parametrize("again", ["before it is imported", "afterwards", "much later"])
def test_a_part_that_a_journal_brings_again_is_told_once(write: Write, again: str) -> None:
    part = blob(chat(web(1)))
    write(part)
    if again != "before it is imported":
        imported()
    if again == "much later":
        HistoryPart.objects.update(created_at=timezone.now() - timedelta(hours=23))
        tasks.prune()
    write(part)
    imported()
    imported()
    assert texts() == ["text 1"]
    assert Event.objects.get().type == "history.synced"
    HistoryPart.objects.update(created_at=timezone.now() - timedelta(hours=25))
    tasks.prune()
    assert not HistoryPart.objects.exists()


def test_parts_that_wait_are_never_forgotten(write: Write) -> None:
    write(blob(chat(web(1))))
    HistoryPart.objects.update(created_at=timezone.now() - timedelta(days=8))
    tasks.prune()
    assert history.waiting() == [HistoryPart.objects.get().pk]


def test_an_import_in_progress_is_not_begun_again_before_its_time(write: Write) -> None:
    write(blob(chat(web(1))))
    part = HistoryPart.objects.get()
    assert history.waiting() == [part.pk]
    assert history._claim(part)
    assert not history._claim(part)
    assert history.waiting() == []


def test_reactions_and_votes_come_with_their_messages(write: Write, alice: Actor) -> None:
    poll = {"pollCreationMessageV3": {"name": "Lunch?", "options": [{"optionName": "Soup"}]}}
    vote = {"pollUpdateMessageKey": key("V"), "vote": {"selectedOptions": [hashlib.sha256(b"Soup").digest()]}}
    write(
        blob(
            chat(web(1, reactions=[{"key": key("R", me=True), "text": "👍"}]), web(2, message=poll, pollUpdates=[vote]))
        )
    )
    imported()
    rows = {row["wa_id"]: row for row in alice.client.get("/api/messages").json()["results"]}
    assert rows["H1"]["reactions"] == [{"emoji": "👍", "count": 1}]
    assert rows["H2"]["poll_results"] == [{"option": "Soup", "votes": 1}]


def test_names_and_pairs_become_contacts(write: Write) -> None:
    write(blob(
        chat(web(1)),
        pushnames=[{"ID": "15550100009@s.whatsapp.net", "pushname": "Erin"}],
        phoneNumberToLidMappings=[{"pnJID": "15550100009@s.whatsapp.net", "lidJID": "999@lid"}],
    ))  # fmt: skip
    imported()
    people = set(Contact.objects.values_list("phone", "lid", "name"))
    assert ("15550100009", "999@lid", "Erin") in people
    assert ("15550100002", LID, "Carla") in people


def test_who_is_named_by_lid_alone_is_known_by_the_pairs_beside(write: Write) -> None:
    pairs = [{"pnJID": "15550100002@s.whatsapp.net", "lidJID": LID}]
    group = {"ID": GROUP, "messages": [web(2, participant=LID)]}
    write(blob(chat(web(1), pnJID=""), group, phoneNumberToLidMappings=pairs))
    imported()
    assert set(Message.objects.values_list("sender_phone", "sender_lid")) == {("15550100002", LID)}
    assert Message.objects.get(wa_id="H1").chat == "15550100002@s.whatsapp.net"


def test_files_of_the_history_are_fetched_only_on_demand(write: Write) -> None:
    image = {"imageMessage": {"mimetype": "image/png", "directPath": "/x", "mediaKey": b"k", "fileLength": 5}}
    write(blob(chat(web(1, message=image))))
    imported()
    assert Media.objects.get().due_at is None


def test_a_broken_part_is_dropped(write: Write) -> None:
    write(HistoryBlob(b"no zlib"), HistoryBlob(zlib.compress(b"\xff\xff")))
    imported()
    assert history.waiting() == []
    assert not any(part.data for part in HistoryPart.objects.all())
