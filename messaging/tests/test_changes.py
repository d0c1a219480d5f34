"""Reactions, edits, deletions and votes change their message, if they come from who may, in whatever order."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.utils import timezone

from conftest import Person as Actor
from instances.models import Instance
from instances.whatsapp.news import Inbound, Key, Person, Sealed
from instances.whatsapp.protos import EventResponseMessage, PollVoteMessage
from messaging.models import EarlyChange, Group, Message, Reaction
from messaging.receiving import settling
from messaging.sending.ledger import Claim, Outcome
from messaging.states import Direction, Status
from messaging.tests.conftest import Write
from webhooks.models import Event

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
CARLA, DANA = Person("15550100002", "777@lid", "Carla"), Person("15550100003", "888@lid", "Dana")
CHAT, GROUP = "15550100002@s.whatsapp.net", "120363000000000001@g.us"
SECRET = bytes(range(32))
HELLO = Inbound("A", CHAT, "777@lid", CARLA, False, NOON, "text", {"body": "hello"}, secret=SECRET)
IN_GROUP = replace(HELLO, chat=GROUP, chat_lid=None)
POLL = replace(HELLO, type="poll", content={"question": "Lunch?", "options": ["Soup", "Salad"], "selectable": 0})

MakeMessage = Callable[..., Message]


def change(type_: str, of: str = "A", after: int = 1, **more: Any) -> Inbound:
    """Of Carla's, a minute after her message or more."""
    contents: dict[str, Any] = {"reaction": {"emoji": "👍"}, "edit": {"text": {"body": "new"}}, "revoke": {}}
    content = more.pop("content", contents.get(type_, {}))
    return replace(
        HELLO, wa_id=more.pop("wa_id", f"C{after}"), type=type_, content=content, target=Key(of),
        sent_at=NOON + timedelta(minutes=after), **more,
    )  # fmt: skip


def types() -> list[str]:
    return [event.type for event in Event.objects.order_by("sequence")]


def shown(actor: Actor, message: Message) -> dict[str, Any]:
    return dict(actor.client.get(f"/api/messages/{message.pk}").json())


def listed(actor: Actor) -> list[dict[str, Any]]:
    return list(actor.client.get("/api/messages").json()["results"])


def target() -> Message:
    return Message.objects.get(wa_id="A")


# --- reactions --------------------------------------------------------------------------------


def test_a_reaction_is_a_row_an_event_and_shown_at_its_message(write: Write, alice: Actor) -> None:
    write(HELLO, change("reaction"))
    assert types() == ["message.received", "message.reaction"]
    data = Event.objects.get(type="message.reaction").data
    assert data["reaction"] == {"message_id": target().pk, "wa_id": "A", "emoji": "👍"}
    assert data["from"]["phone"] == "15550100002"
    (reacted,) = shown(alice, target())["reacted"]
    assert (reacted["emoji"], reacted["from"]["name"]) == ("👍", "Carla")
    assert [row.get("reactions") for row in listed(alice)] == [None, [{"emoji": "👍", "count": 1}]]


def test_the_last_reaction_of_a_person_counts_and_an_empty_one_takes_it_back(write: Write, alice: Actor) -> None:
    write(IN_GROUP)
    in_group = {"chat": GROUP, "chat_lid": None}
    write(change("reaction", after=2, content={"emoji": "❤"}, **in_group), change("reaction", after=1, **in_group))
    write(change("reaction", after=3, sender=DANA, **in_group))
    assert listed(alice)[-1]["reactions"] == [{"emoji": "❤", "count": 1}, {"emoji": "👍", "count": 1}]
    write(change("reaction", after=4, content={"emoji": ""}, **in_group))
    assert listed(alice)[-1]["reactions"] == [{"emoji": "👍", "count": 1}]


def test_somebody_known_by_lid_and_by_phone_is_one_person(write: Write) -> None:
    write(HELLO, change("reaction", sender=Person(None, "777@lid")))
    write(change("reaction", after=2, sender=Person("15550100002", None), content={"emoji": "❤"}))
    assert Reaction.objects.get().emoji == "❤"


def test_the_owner_reacts_on_the_phone(write: Write, alice: Actor, held: Instance) -> None:
    write(HELLO, change("reaction", from_me=True, sender=Person(held.phone, None)))
    assert shown(alice, target())["reacted"][0]["from"] is None
    assert Message.objects.get(type="reaction").origin == "phone"


def test_a_change_from_another_chat_is_not_believed(write: Write) -> None:
    write(HELLO, change("reaction", chat=GROUP, chat_lid=None))
    assert not Reaction.objects.exists()
    assert Message.objects.get(type="reaction").attributes == {"refused": "other_chat"}
    assert types() == ["message.received"]


# --- edits and deletions ----------------------------------------------------------------------


def test_an_edit_of_the_author_changes_the_message_and_keeps_what_it_said(write: Write, alice: Actor) -> None:
    write(HELLO, change("edit"))
    found = shown(alice, target())
    assert found["text"] == {"body": "new"}
    assert found["edited_at"] == "2026-11-23T12:01:00.000Z"
    assert found["revisions"] == [{"text": {"body": "hello"}, "until": "2026-11-23T12:01:00.000Z"}]
    assert types() == ["message.received", "message.edited"]
    assert target().text == "new"


def test_an_older_edit_does_not_undo_a_newer_one(write: Write) -> None:
    write(HELLO, change("edit", after=2), change("edit", after=1, content={"text": {"body": "older"}}))
    assert target().content == {"body": "new"}
    assert types() == ["message.received", "message.edited"]


def test_the_caption_of_a_file_is_edited(write: Write) -> None:
    image = replace(HELLO, type="image", content={"mime_type": "image/png", "caption": "old"})
    write(image, change("edit", content={"caption": "new"}))
    assert target().content == {"mime_type": "image/png", "caption": "new"}


@pytest.mark.parametrize(("type_", "who"), [("edit", "member"), ("edit", "us")])
def test_only_the_author_edits(write: Write, held: Instance, type_: str, who: str) -> None:
    write(IN_GROUP)
    forged = {"member": {"sender": DANA}, "us": {"from_me": True, "sender": Person(held.phone, None)}}[who]
    write(change(type_, chat=GROUP, chat_lid=None, **forged))
    assert (target().content, target().revoked_at) == ({"body": "hello"}, None)
    assert Message.objects.get(type=type_).attributes == {"refused": "not_the_author"}
    assert types() == ["message.received"]


def test_nobody_else_edits_what_we_sent(write: Write, held: Instance, make_message: MakeMessage) -> None:
    make_message(held, status=Status.SENT, wa_id="A")
    write(change("edit"), change("revoke", after=2))
    assert (target().content, target().revoked_at) == ({"body": "hello"}, None)


def test_a_deleted_message_shows_its_content_no_more(write: Write, alice: Actor) -> None:
    write(HELLO, change("edit"), change("revoke", after=2))
    found = shown(alice, target())
    assert found["revoked_at"] == "2026-11-23T12:02:00.000Z"
    assert "text" not in found
    assert found["revisions"] == []
    assert types()[-1] == "message.revoked"
    assert target().text == ""


@pytest.mark.parametrize(("admin", "believed"), [(True, True), (False, False)])
def test_a_groups_admin_deletes_what_others_wrote(write: Write, held: Instance, admin: bool, believed: bool) -> None:
    members = [{"phone": "15550100003", "lid": "888@lid", "admin": admin}]
    Group.objects.create(instance=held, jid=GROUP, members=members, size=1, checked_at=timezone.now())
    write(IN_GROUP, change("revoke", chat=GROUP, chat_lid=None, sender=DANA))
    assert (target().revoked_at is not None) is believed
    assert ("message.revoked" in types()) is believed


def test_a_deletion_waits_until_the_admins_are_known(write: Write, held: Instance) -> None:
    write(IN_GROUP, change("revoke", chat=GROUP, chat_lid=None, sender=DANA))
    assert target().revoked_at is None
    assert Group.objects.get().checked_at is None
    members = [{"phone": None, "lid": "888@lid", "admin": True}]
    Group.objects.update(members=members, size=1, checked_at=timezone.now())
    settling.settle(held, GROUP)
    assert target().revoked_at is not None
    assert not EarlyChange.objects.exists()


# --- before their target ----------------------------------------------------------------------


@pytest.mark.parametrize("together", [True, False])
def test_changes_that_come_first_are_applied_when_their_message_comes(
    write: Write, alice: Actor, together: bool
) -> None:
    news = [change("reaction"), change("edit", after=2), HELLO]
    if together:
        write(*news)
    else:
        for one in news:
            write(one)
    found = shown(alice, target())
    assert found["text"] == {"body": "new"}
    assert found["reacted"][0]["emoji"] == "👍"
    assert not EarlyChange.objects.exists()
    assert {"message.received", "message.reaction", "message.edited"} == set(types())


def test_a_reaction_to_a_message_that_never_comes_is_told_and_an_edit_is_not(write: Write) -> None:
    write(change("reaction"), change("edit", after=2))
    assert types() == ["message.reaction"]
    assert Event.objects.get().data["reaction"] == {"message_id": None, "wa_id": "A", "emoji": "👍"}


def test_a_reaction_may_overtake_the_acknowledgement(write: Write, held: Instance, make_message: MakeMessage) -> None:
    row = make_message(held)
    write(Claim(1))
    write(change("reaction"))
    write(Outcome(row.pk, Status.SENT, "A", NOON))
    assert Reaction.objects.get().message_id == row.pk


def test_what_we_send_changes_its_target_once_it_is_acknowledged(
    write: Write, held: Instance, make_message: MakeMessage
) -> None:
    first = make_message(held, status=Status.SENT, wa_id="A")
    edit = make_message(held, type="edit", content={"message_id": first.pk, "text": {"body": "better"}})
    write(Claim(1))
    write(Outcome(edit.pk, Status.SENT, "E", NOON))
    assert (target().content, target().edited_at) == ({"body": "better"}, NOON)
    assert types() == ["message.sent", "message.edited"]


# --- votes and responses ----------------------------------------------------------------------


def sealed(purpose: str, plain: bytes, author: str, sender: str, secret: bytes = SECRET) -> Sealed:
    key = HKDF(SHA256(), 32, salt=None, info=f"A{author}{sender}{purpose}".encode()).derive(secret)
    return Sealed(purpose, b"i" * 12, AESGCM(key).encrypt(b"i" * 12, plain, f"A\x00{sender}".encode()))


def vote(*options: str, **more: Any) -> Inbound:
    plain = PollVoteMessage(selectedOptions=[hashlib.sha256(one.encode()).digest() for one in options])
    names = {name: more.pop(name, CHAT) for name in ("author", "sender_jid")}
    part = sealed("Poll Vote", plain.SerializeToString(), names["author"], names["sender_jid"], more.pop("key", SECRET))
    return change("poll_vote", content={"options": None}, sealed=part, **more)


@pytest.mark.parametrize("author", [CHAT, "777@lid"])
@pytest.mark.parametrize("sender", [CHAT, "777@lid"])
def test_a_vote_is_opened_by_whichever_jids_it_was_sealed_with(
    write: Write, alice: Actor, author: str, sender: str
) -> None:
    write(POLL, vote("Salad", author=author, sender_jid=sender))
    assert Event.objects.get(type="message.poll_vote").data["poll_vote"]["options"] == ["Salad"]
    found = shown(alice, target())
    assert found["poll_results"] == [{"option": "Soup", "votes": 0}, {"option": "Salad", "votes": 1}]
    assert found["votes"][0]["options"] == ["Salad"]


def test_a_later_vote_replaces_the_earlier_one(write: Write, alice: Actor) -> None:
    write(POLL, vote("Soup", "Salad", after=2), vote("Soup", after=1))
    assert [one["votes"] for one in listed(alice)[-1]["poll_results"]] == [1, 1]
    write(vote(after=3))
    assert [one["votes"] for one in listed(alice)[-1].get("poll_results", [])] in ([], [0, 0])


def test_votes_in_our_own_poll_are_opened_with_its_secret(
    write: Write, alice: Actor, held: Instance, make_message: MakeMessage
) -> None:
    poll = make_message(held, status=Status.SENT, wa_id="A", type="poll", content=POLL.content)
    write(vote("Soup", author=f"{held.phone}@s.whatsapp.net", key=bytes(poll.secret)))
    assert shown(alice, poll)["votes"][0]["options"] == ["Soup"]


def test_a_vote_that_comes_before_its_poll_waits_sealed(write: Write, alice: Actor) -> None:
    write(vote("Soup"))
    assert Event.objects.get().data["poll_vote"] == {"message_id": None, "wa_id": "A", "options": None}
    write(POLL)
    assert shown(alice, target())["votes"][0]["options"] == ["Soup"]


def test_a_vote_that_cannot_be_opened_changes_nothing(write: Write) -> None:
    write(POLL, vote("Soup", key=bytes(32)))
    assert Message.objects.get(type="poll_vote").attributes == {"refused": "not_opened"}
    assert "message.poll_vote" not in types()


def test_a_response_to_an_event_is_opened(write: Write) -> None:
    event = replace(HELLO, type="event", content={"name": "Party", "starts_at": "2026-11-24T12:00:00.000Z"})
    plain = EventResponseMessage(response=1).SerializeToString()
    write(
        event, change("event_response", content={"response": None}, sealed=sealed("Event Response", plain, CHAT, CHAT))
    )
    assert Message.objects.get(type="event_response").content["response"] == "going"


# --- what could not be decrypted, and references -----------------------------------------------


def test_what_could_not_be_decrypted_is_replaced_by_what_comes_later(write: Write, alice: Actor) -> None:
    write(replace(HELLO, type="undecryptable", content={"reason": "not_decrypted"}))
    first = target().pk
    write(HELLO)
    write(replace(HELLO, type="undecryptable", content={"reason": "not_decrypted"}))
    assert (target().pk, target().type, target().content) == (first, "text", {"body": "hello"})
    assert types() == ["message.received", "message.received"]


def test_a_reply_names_the_message_by_our_id(write: Write) -> None:
    write(HELLO, replace(HELLO, wa_id="B", quoted=Key("A", CARLA)), replace(HELLO, wa_id="D", quoted=Key("?")))
    context = Message.objects.get(wa_id="B").attributes["context"]
    assert (context["message_id"], context["wa_id"], context["from"]["lid"]) == (target().pk, "A", "777@lid")
    assert Message.objects.get(wa_id="D").attributes["context"] == {"message_id": None, "wa_id": "?"}


def test_the_protobuf_is_shown_on_request(write: Write, alice: Actor) -> None:
    write(replace(HELLO, raw=b"\x0a\x05hello"), replace(HELLO, wa_id="B"))
    for wa_id, raw in (("A", {"conversation": "hello"}), ("B", None)):
        row = Message.objects.get(wa_id=wa_id)
        assert alice.client.get(f"/api/messages/{row.pk}", {"raw": "true"}).json()["raw"] == raw
        assert "raw" not in shown(alice, row)


def test_a_page_costs_the_same_however_many_reactions(
    write: Write, alice: Actor, django_assert_max_num_queries: Any
) -> None:
    write(*(replace(HELLO, wa_id=f"M{n}") for n in range(10)))
    alice.client.get("/api/messages")
    write(*(change("reaction", of=f"M{n}", wa_id=f"R{n}") for n in range(10)))
    with django_assert_max_num_queries(8):
        assert len(listed(alice)) == 20


def test_directions_stay_apart(write: Write) -> None:
    write(HELLO, change("reaction"))
    assert set(Message.objects.values_list("direction", flat=True)) == {Direction.INBOUND}
