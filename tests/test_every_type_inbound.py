"""Every type from a virtual phone to a linked number: what the API shows, field by field."""

from __future__ import annotations

from typing import Any

import pytest

from stack.testing import RunningStack
from tests.product import Api, Control, wait_for

pytestmark = [pytest.mark.end_to_end, pytest.mark.only_with("postgres")]
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
FILE = {"data": PIXEL, "mimetype": "image/png"}
CARD = "BEGIN:VCARD\nVERSION:3.0\nFN:Ada Lovelace\nTEL;type=WORK;waid=15550100003:+1 555 010 0003\nEND:VCARD"
# type, content at the phone, type and content at the API
TYPES: list[tuple[str, Any, str, dict[str, Any]]] = [
    ("text", {"body": "Hello"}, "text", {"body": "Hello"}),
    ("image", FILE | {"caption": "look"}, "image", {"mime_type": "image/png", "caption": "look"}),
    ("video", {"bytes": 500, "seconds": 3}, "video", {"size": 500, "seconds": 3}),
    ("gif", {"bytes": 500}, "video", {"gif": True}),
    ("round", {"bytes": 500}, "video", {"round": True}),
    ("audio", {"bytes": 500, "seconds": 3}, "audio", {"seconds": 3}),
    ("voice", {"bytes": 500, "seconds": 3}, "audio", {"voice": True, "seconds": 3}),
    ("document", {"bytes": 500, "filename": "a.pdf", "pages": 2}, "document", {"filename": "a.pdf", "pages": 2}),
    ("sticker", FILE, "sticker", {"mime_type": "image/png"}),
    (
        "location",
        {"latitude": 52.5, "longitude": 13.4, "name": "Berlin"},
        "location",
        {"latitude": 52.5, "longitude": 13.4, "name": "Berlin"},
    ),
    (
        "live_location",
        {"latitude": 52.5, "longitude": 13.4, "accuracy_m": 10, "sequence": 2},
        "live_location",
        {"latitude": 52.5, "longitude": 13.4, "accuracy_m": 10, "sequence": 2},
    ),
    (
        "poll",
        {"question": "Lunch?", "options": ["Soup", "Salad"], "selectable": 1},
        "poll",
        {"question": "Lunch?", "options": ["Soup", "Salad"], "selectable": 1},
    ),
    (
        "event",
        {"name": "Opening", "starts_at": 1796148000, "location": {"latitude": 1, "longitude": 2}},
        "event",
        {"name": "Opening", "starts_at": "2026-12-01T18:00:00.000Z"},
    ),
    ("unsupported", {}, "unsupported", {"kind": "requestPhoneNumber"}),
    ("undecryptable", {}, "undecryptable", {"reason": "not_decrypted"}),
]


class World:
    """A linked number and two people who write to it."""

    def __init__(self, api: Api, control: Control) -> None:
        self.api, self.control = api, control
        self.instance, self.number = api.linked()
        self.carla, self.dana = api.phone("Carla"), api.phone("Dana")

    def write(self, type_: str, content: Any = None, *, phone: str = "", to: str = "", **more: Any) -> str:
        """Have a phone send; returns WhatsApp's id of the message."""
        target = {"phone": phone or self.carla, "to": to or self.number, "type": type_}
        return str(self.control("send_message", **target, content=content or {}, **more)["id"])

    def shown(self, wa_id: str) -> dict[str, Any]:
        """The message as the API shows it, as soon as it does."""
        found = wait_for(lambda: next((m for m in self._all() if m["wa_id"] == wa_id), None), what=f"message {wa_id}")
        return self.api.message(found["id"])

    def received(self, type_: str, content: Any = None, **more: Any) -> dict[str, Any]:
        return self.shown(self.write(type_, content, **more))

    def sent(self, to: str, text: str = "ours") -> dict[str, Any]:
        id_ = self.api.send(self.instance, to, text)
        return wait_for(lambda: (found := self.api.message(id_))["wa_id"] and found, what="an acknowledgement")

    def wait_for_phones(self, message: dict[str, Any], *phones: str) -> None:
        """Wait until phones have got a message of ours."""

        def all_have_it() -> bool:
            return all(any(one["id"] == message["wa_id"] for one in self.api.received(phone)) for phone in phones)

        wait_for(all_have_it, what=f"{message['wa_id']} at {phones}")

    def until(self, message: dict[str, Any], condition: Any) -> dict[str, Any]:
        """The message when the condition holds for it."""
        return wait_for(
            lambda: condition(found := self.api.message(message["id"])) and found,
            what=f"{self.api.message(message['id'])}",
        )

    def _all(self) -> list[dict[str, Any]]:
        return self.api.messages(instance=self.instance)


@pytest.fixture
def world(acme: Api, stack: RunningStack) -> World:
    return World(acme, Control(stack))


def test_every_type_arrives(world: World, subtests: pytest.Subtests) -> None:
    for type_, content, shown_type, shown in TYPES:
        with subtests.test(type_):
            found = world.received(type_, content)
            assert (found["type"], found["direction"], found["from"]["phone"]) == (shown_type, "inbound", world.carla)
            assert shown.items() <= found[shown_type].items(), found
    with subtests.test("contacts"):
        found = world.received("contacts", [{"name": "Ada Lovelace", "vcard": CARD}])
        (card,) = found["contacts"]
        assert card["name"]["formatted_name"] == "Ada Lovelace"
        assert card["phones"] == [{"phone": "+1 555 010 0003", "type": "WORK", "wa_id": "15550100003"}]
    with subtests.test("what goes with it"):
        first = world.sent(world.carla)
        world.wait_for_phones(first, world.carla)
        found = world.received("text", {"body": "yes"}, reply_to=first["wa_id"], forwarded=True, expires_in=86_400)
        assert (found["context"]["message_id"], found["forwarded"], found["expires_in"]) == (first["id"], True, 86_400)
        assert world.received("image", FILE, view_once=True)["view_once"] is True
    with subtests.test("album"):
        album = world.control(
            "send_message", phone=world.carla, to=world.number, type="album",
            content={"items": [{"type": "image", **FILE}, {"type": "image", **FILE}]},
        )  # fmt: skip
        assert world.shown(album["id"])["album"]["images"] == 2
        assert {world.shown(item)["album"] for item in album["items"]} == {world.shown(album["id"])["id"]}
    with subtests.test("protobuf"):
        found = world.received("text", {"body": "raw"})
        raw = world.api.get(f"/messages/{found['id']}", raw="true")["raw"]
        assert "raw" in str(raw)
        assert "messageSecret" not in str(raw)


def test_what_others_do_to_messages(world: World, subtests: pytest.Subtests) -> None:
    ours = world.sent(world.carla)
    world.wait_for_phones(ours, world.carla)
    with subtests.test("reaction"):
        world.write("reaction", {"message_id": ours["wa_id"], "emoji": "👍"})
        found = world.until(ours, lambda m: m.get("reactions"))
        assert (found["reactions"], found["reacted"][0]["from"]["phone"]) == (
            [{"emoji": "👍", "count": 1}], world.carla,
        )  # fmt: skip
        world.write("reaction", {"message_id": ours["wa_id"], "emoji": ""})
        world.until(ours, lambda m: not m.get("reactions"))
    with subtests.test("edit"):
        theirs = world.received("text", {"body": "first"})
        world.write("edit", {"message_id": theirs["wa_id"], "body": "second"})
        found = world.until(theirs, lambda m: m["edited_at"])
        assert (found["text"], found["revisions"][0]["text"]) == ({"body": "second"}, {"body": "first"})
    with subtests.test("revoke"):
        world.write("revoke", {"message_id": theirs["wa_id"]})
        assert "text" not in world.until(theirs, lambda m: m["revoked_at"])
    with subtests.test("vote in a poll of theirs"):
        poll = world.received("poll", {"question": "Lunch?", "options": ["Soup", "Salad"]})
        world.write("poll_vote", {"message_id": poll["wa_id"], "options": ["Soup"]})
        found = world.until(poll, lambda m: m["votes"])
        assert found["poll_results"] == [{"option": "Soup", "votes": 1}, {"option": "Salad", "votes": 0}]
    with subtests.test("response to an event of theirs"):
        event = world.received("event", {"name": "Opening", "starts_at": 1796148000})
        found = world.received("event_response", {"message_id": event["wa_id"], "response": "going"})
        assert found["event_response"]["response"] == "going"
    with subtests.test("receipts"):
        world.control("mark_read", phone=world.carla, id=ours["wa_id"])
        world.until(ours, lambda m: m["status"] == "read")
    with subtests.test("on the number's own phone"):
        typed = world.received("text", {"body": "typed"}, phone=world.number, to=world.carla)
        assert (typed["direction"], typed["origin"], typed["to"]["phone"]) == ("outbound", "phone", world.carla)
        world.write("edit", {"message_id": typed["wa_id"], "body": "typed again"}, phone=world.number, to=world.carla)
        assert world.until(typed, lambda m: m["edited_at"])["text"] == {"body": "typed again"}


def test_a_group_receives_reads_and_obeys_its_admin(world: World) -> None:
    group = world.control("create_group", phone=world.carla, subject="Friends", members=[world.number, world.dana])
    jid = group["jid"]
    theirs = world.received("text", {"body": "from Dana"}, phone=world.dana, to=jid)
    assert (theirs["chat"]["id"], theirs["from"]["phone"]) == (jid, world.dana)
    ours = world.sent(jid)
    world.wait_for_phones(ours, world.carla, world.dana)
    found = world.until(ours, lambda m: m["status"] == "delivered")
    assert found["receipt_counts"] == {"delivered": 2, "read": 0, "played": 0}
    world.control("mark_read", phone=world.dana, id=ours["wa_id"])
    found = world.until(ours, lambda m: m["receipt_counts"]["read"] == 1)
    assert found["status"] == "delivered"
    world.control("mark_read", phone=world.carla, id=ours["wa_id"])
    assert len(world.until(ours, lambda m: m["status"] == "read")["receipts"]) == 2
    # Dana is no admin, Carla made the group.
    world.write("revoke", {"message_id": ours["wa_id"]}, phone=world.dana, to=jid)
    world.write("revoke", {"message_id": theirs["wa_id"]}, phone=world.carla, to=jid)
    world.until(theirs, lambda m: m["revoked_at"])
    assert world.api.message(ours["id"])["revoked_at"] is None


def test_the_history_is_taken_over(world: World) -> None:
    earlier = [{"type": "text", "content": {"body": f"earlier {n}"}} for n in range(30)]
    world.control("history", phone=world.number, chats={world.dana: earlier}, chunk=10)
    found = wait_for(lambda: len(rows := world.api.messages(chat=world.dana)) == 30 and rows, 60, "the history")
    assert {row["text"]["body"] for row in found} == {f"earlier {n}" for n in range(30)}
    assert {row["from"]["phone"] for row in found} <= {world.dana, world.number}
    (chat,) = [one for one in world.api.get("/chats", instance=world.instance)["results"] if one["phone"] == world.dana]
    assert chat["unread"] == 0
