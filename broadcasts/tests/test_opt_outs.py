"""Who wants no broadcasts gets none: by request, or by a word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from broadcasts.keywords import normalized
from broadcasts.models import OptOut
from broadcasts.opt_outs import received
from broadcasts.tests.conftest import Make, feed, number, to
from conftest import Person, assert_problem
from instances.models import Instance
from messaging import receiving
from messaging.models import Contact, Message
from webhooks.models import Event

pytestmark = pytest.mark.django_db
LID = "123456789@lid"


def opt_out(person: Person, serial: int, network: str = "sandbox") -> Any:
    return person.client.post("/api/opt-outs", {"to": number(serial), "network": network}, format="json")


@pytest.fixture
def say(instance: Instance) -> Callable[..., list[str]]:
    """Somebody writes to Alice's instance; returns the types of the events that follow."""

    def say(body: str, serial: int = 1, to: Instance = instance, **columns: Any) -> list[str]:
        defaults = {
            "sender_phone": number(serial),
            "chat": f"{number(serial)}@s.whatsapp.net",
            "type": "text",
            "content": {"body": body},
            "direction": "inbound",
            "status": "received",
        }
        row = Message(organization_id=to.organization_id, instance=to, **(defaults | columns))
        return [draft.type for draft in received([row])]

    return say


def test_who_is_opted_out_is_passed_by(alice: Person, bob: Person, rita: Person, make: Make) -> None:
    made = opt_out(bob, 1)
    assert made.status_code == 201
    assert made.json()["contact"]["phone"] == number(1)
    assert opt_out(alice, 1).json() == made.json()
    assert_problem(opt_out(rita, 2), 403, "permission_denied")
    assert rita.client.get("/api/opt-outs").json()["results"] == [made.json()]
    assert rita.client.get(f"/api/opt-outs?contact={number(2)}").json()["results"] == []

    broadcast = make()
    assert broadcast["recipients"]["opted_out"] == 1
    feed()
    assert Message.objects.count() == 2
    (skipped,) = alice.client.get(f"/api/broadcasts/{broadcast['id']}/recipients?state=skipped").json()["results"]
    assert (skipped["to"], skipped["error"]["code"]) == (f"{number(1)}@s.whatsapp.net", "opted_out")

    assert bob.client.delete(f"/api/opt-outs/{made.json()['id']}").status_code == 204
    assert make()["recipients"]["opted_out"] == 0
    told = Event.objects.filter(type__startswith="contact.").order_by("sequence")
    assert list(told.values_list("type", flat=True)) == ["contact.opted_out", "contact.opted_in"]


def test_who_opts_out_afterwards_is_passed_by_too(alice: Person, make: Make) -> None:
    broadcast = make()
    opt_out(alice, 2)
    feed()
    assert Message.objects.count() == 2
    found = alice.client.get(f"/api/broadcasts/{broadcast['id']}").json()
    assert (found["progress"]["skipped"], found["progress"]["queued"]) == (1, 2)


def test_opt_outs_of_one_network_or_organization_do_not_count_in_another(
    alice: Person, charlie: Person, make: Make
) -> None:
    opt_out(alice, 1, "whatsapp")
    opt_out(charlie, 1)
    assert make()["recipients"]["opted_out"] == 0
    assert alice.program().get("/api/opt-outs").json()["results"] == []
    assert_problem(
        alice.program().post("/api/opt-outs", {"to": number(1), "network": "whatsapp"}, format="json"),
        403,
        "test_key_on_live",
    )
    assert alice.program().post("/api/opt-outs", {"to": number(3)}, format="json").json()["network"] == "sandbox"


def test_a_lid_and_a_phone_number_are_one_person(instance: Instance, make: Make, say: Any) -> None:
    Contact.objects.create(instance=instance, phone=number(1), lid=LID)
    assert say("stop", sender_phone=None, sender_lid=LID, chat=LID) == ["contact.opted_out"]
    assert make()["recipients"]["opted_out"] == 1
    assert make(recipients=[{"to": LID}, *to(2)])["recipients"]["opted_out"] == 1


@pytest.mark.parametrize("word", ["STOP", " stop. ", "S.T.O.P", "Désabonner!", "desabonner", "opt-out", "СТОП", "退订"])
def test_a_word_opts_out_and_another_in(say: Any, word: str) -> None:
    assert say(word) == ["contact.opted_out"]
    assert say(word) == []
    row = OptOut.objects.get()
    assert (row.phone, row.source) == (number(1), "stop_word")
    assert say("Start") == ["contact.opted_in"]
    assert say("Start") == []
    assert not OptOut.objects.exists()


@pytest.mark.parametrize(
    ("body", "columns"),
    [
        ("please stop that", {}),
        ("", {}),
        ("👍", {}),
        ("stop" + " " * 50, {}),
        ("stop", {"chat": "120363000000000001@g.us"}),
        ("stop", {"chat": "120363000000000001@newsletter", "sender_phone": None}),
        ("stop", {"chat": "status@broadcast"}),
        ("stop", {"direction": "outbound"}),
        ("stop", {"history": True}),
        ("stop", {"type": "image", "content": {"caption": "stop"}}),
    ],
)
def test_only_a_whole_message_of_the_person_counts(say: Any, body: str, columns: dict[str, Any]) -> None:
    assert say(body, **columns) == []


def test_an_organization_has_words_of_its_own(alice: Person, bob: Person, charlie: Person, say: Any) -> None:
    words = {"stop": ["Basta!"], "start": []}
    assert alice.client.patch("/api/opt-outs/keywords", {"start": ["Hallo"]}, format="json").json()["stop"][0] == "STOP"
    assert_problem(bob.client.patch("/api/opt-outs/keywords", words, format="json"), 403, "permission_denied")
    assert alice.client.patch("/api/opt-outs/keywords", words, format="json").json() == words
    assert "STOP" in charlie.client.get("/api/opt-outs/keywords").json()["stop"]
    assert say("stop") == []
    assert say("BASTA") == ["contact.opted_out"]
    nothing = {"stop": ["!"], "start": []}
    assert_problem(alice.client.patch("/api/opt-outs/keywords", nothing, format="json"), 400, "invalid_request")


def test_words_are_heard_by_the_numbers() -> None:
    assert received in receiving.received


def test_words_are_compared_by_letters_and_digits() -> None:
    assert normalized("  Ümläut-Straße 7! 🎉") == "umlautstrasse7"
    assert normalized("रोकें") == normalized("रोकें।") != ""
