"""Every type through the API to a virtual phone: what it decrypted, field by field."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from messaging.kinds.examples import EXAMPLES
from stack.testing import RunningStack
from tests.product import Api, Control, wait_for

pytestmark = [pytest.mark.end_to_end, pytest.mark.only_with("postgres")]
CARD = (
    "BEGIN:VCARD\nVERSION:3.0\nN:Lovelace;Ada;;;\nFN:Ada Lovelace\nORG:Analytical Engines;\n"
    "TEL;type=WORK;waid=15550100003:+1 555 010 0003\nEMAIL;type=WORK:ada@example.com\nEND:VCARD"
)
# type -> what the phone shows of the example of the docs
SHOWN: dict[str, Any] = {
    "text": "Hello",
    "location": EXAMPLES["location"]["location"],
    "live_location": EXAMPLES["live_location"]["live_location"],
    "contacts": [{"name": "Ada Lovelace", "vcard": CARD}],
    "poll": EXAMPLES["poll"]["poll"],
    "event": {
        "name": "Opening",
        "starts_at": 1796148000,
        "ends_at": 1796155200,
        "description": "Drinks at six.",
        "location": {"name": "Our shop", "address": "Main Street 1"},
    },
    "group_invite": EXAMPLES["group_invite"]["group_invite"],
}


class Sender:
    """A linked number, and a customer's phone."""

    def __init__(self, api: Api, control: Control) -> None:
        self.api, self.control = api, control
        self.instance, self.number = api.linked()
        self.customer = api.phone("Carla")

    def send(self, type_: str, content: Any, to: str = "", **attributes: Any) -> dict[str, Any]:
        """Returns the message once WhatsApp has acknowledged it."""
        body = {"instance": self.instance, "to": to or self.customer, "type": type_, type_: content} | attributes
        return self.arrived(self.api.post("/messages", body, expect=202)["id"])

    def arrived(self, id_: str) -> dict[str, Any]:
        """The message once WhatsApp has acknowledged it."""
        ended = ("sent", "delivered", "read", "played", "failed", "unconfirmed")
        wait_for(lambda: self.api.message(id_)["status"] in ended, what=f"{self.api.message(id_)}")
        message = self.api.message(id_)
        assert message["error"] is None, message
        return message

    def shown(self, message: dict[str, Any], phone: str = "") -> dict[str, Any]:
        """The message as the phone got it, with the decrypted protobuf."""
        return wait_for(
            lambda: next((one for one in self._inbox(phone) if one["id"] == message["wa_id"]), None),
            what=f"{message['type']} {message['wa_id']} at the phone",
        )

    def _inbox(self, phone: str) -> list[dict[str, Any]]:
        found = self.control("messages", phone=phone or self.customer, limit=1000, raw=True)
        return list(found["results"])


def holds(part: Any, whole: Any) -> bool:
    """Whether everything in one JSON value is in the other."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(name in whole and holds(part[name], whole[name]) for name in part)
    if isinstance(part, float):
        return bool(whole == pytest.approx(part))
    return bool(part == whole)


@pytest.fixture
def control(stack: RunningStack) -> Control:
    return Control(stack)


@pytest.fixture
def sender(acme: Api, control: Control) -> Sender:
    return Sender(acme, control)


def test_every_type_without_a_file_reaches_a_person(sender: Sender, subtests: pytest.Subtests) -> None:
    for type_, expected in SHOWN.items():
        with subtests.test(type_):
            sent = sender.send(type_, EXAMPLES[type_][type_])
            shown = sender.shown(sent)
            assert shown["type"] == type_
            assert holds({type_: expected}, shown), shown
            assert len(shown["message"]["messageContextInfo"]["messageSecret"]) == 44


def test_what_goes_with_a_message(sender: Sender, subtests: pytest.Subtests) -> None:
    phone, first = sender.customer, sender.send("text", {"body": "first"})
    asked = sender.api.write(phone, sender.number, "a question")
    question = wait_for(lambda: next((m for m in sender.api.messages(chat=phone) if m["wa_id"] == asked), None))
    cases: dict[str, tuple[dict[str, Any], Callable[[dict[str, Any]], bool]]] = {
        "an answer": (
            {"context": {"message_id": question["id"]}},
            lambda shown: shown["reply_to"] == asked and shown["context"]["quoted"]["text"] == "a question",
        ),
        "an answer to a WhatsApp id": (
            {"context": {"message_id": first["wa_id"]}},
            lambda shown: shown["reply_to"] == first["wa_id"],
        ),
        "a mention": (
            {"mentions": [phone]},
            lambda shown: [one.partition("@")[0] for one in shown["mentions"]] == [phone],
        ),
        "a timer": ({"expires_in": 86_400}, lambda shown: shown["expires_in"] == 86_400),
    }
    for name, (attributes, fits) in cases.items():
        with subtests.test(name):
            sent = sender.send("text", {"body": f"with {name}"}, **attributes)
            assert {key: sent[key] for key in attributes if key == "expires_in"}.items() <= attributes.items()
            shown = sender.shown(sent)
            assert fits(shown), shown
    with subtests.test("forwarded"):
        sent = sender.send("forward", {"message_id": question["id"]})
        assert (sent["type"], sent["text"], sent["forwarded"]) == ("text", {"body": "a question"}, True)
        assert sender.shown(sent)["forwarded"]


def test_what_changes_another_message(sender: Sender, subtests: pytest.Subtests) -> None:
    own, phone = sender.send("text", {"body": "Helo"}), sender.customer
    asked = sender.api.write(phone, sender.number, "well?")
    question = wait_for(lambda: next((m for m in sender.api.messages(chat=phone) if m["wa_id"] == asked), None))

    def at_phone(wa_id: str) -> dict[str, Any]:
        return dict(sender.control("message", phone=phone, id=wa_id))

    with subtests.test("reaction"):
        sent = sender.send("reaction", {"message_id": question["id"], "emoji": "\U0001f44d"})
        assert sent["reaction"] == {"message_id": question["id"], "wa_id": asked, "emoji": "\U0001f44d"}
        wait_for(lambda: at_phone(asked).get("reactions") == {sender.number: "\U0001f44d"}, what="the reaction")
        sender.send("reaction", {"message_id": asked, "emoji": ""})
        wait_for(lambda: not at_phone(asked).get("reactions"), what="the end of the reaction")
    with subtests.test("edit"):
        sender.send("edit", {"message_id": own["id"], "text": {"body": "Hello"}})
        wait_for(lambda: at_phone(own["wa_id"])["text"] == "Hello", what="the new text")
    with subtests.test("pin"):
        sender.send("pin", {"message_id": own["id"], "seconds": 86_400})
        wait_for(lambda: at_phone(own["wa_id"]).get("pinned") == 86_400, what="the pin")
        sender.send("pin", {"message_id": own["id"], "seconds": 0})
        wait_for(lambda: not at_phone(own["wa_id"]).get("pinned"), what="the end of the pin")
    with subtests.test("revoke"):
        sender.send("revoke", {"message_id": own["id"]})
        wait_for(lambda: at_phone(own["wa_id"]).get("revoked"), what="the deletion")


def test_groups_channels_and_status(sender: Sender, subtests: pytest.Subtests) -> None:
    control, phone = sender.control, sender.customer
    group = control("create_group", phone=phone, subject="Friends", members=[sender.number])["jid"]
    with subtests.test("a group, everyone named"):
        sent = sender.send("text", {"body": "Hello @all"}, to=group, mention_all=True)
        shown = sender.shown(sent)
        assert (shown["chat"], shown["mention_all"]) == (group, True)
    with subtests.test("an answer and a reaction in a group"):
        asked = control("send_text", phone=phone, to=group, text="who?")["id"]
        question = wait_for(lambda: next((m for m in sender.api.messages(chat=group) if m["wa_id"] == asked), None))
        sent = sender.send("text", {"body": "me"}, to=group, context={"message_id": question["id"]})
        shown = sender.shown(sent)
        assert shown["reply_to"] == asked
        assert shown["context"]["from"] == shown["context"]["from"]
        sender.send("reaction", {"message_id": question["id"], "emoji": "\u2764"}, to=group)
        wait_for(
            lambda: control("message", phone=phone, id=asked).get("reactions") == {sender.number: "\u2764"},
            what="the reaction in the group",
        )
    with subtests.test("a channel"):
        channel = control("create_newsletter", phone=sender.number, name="News")["jid"]
        sent = sender.send("text", {"body": "Big news"}, to=channel)

        def posts() -> list[dict[str, Any]]:
            return list(control("newsletter", newsletter=channel)["posts"])

        wait_for(lambda: [one.get("text") for one in posts()] == ["Big news"], what="the post")
        sender.send("edit", {"message_id": sent["id"], "text": {"body": "Bigger news"}}, to=channel)
        wait_for(lambda: [one.get("text") for one in posts()] == ["Bigger news"], what="the new text")
        sender.send("revoke", {"message_id": sent["id"]}, to=channel)
        wait_for(lambda: not [one for one in posts() if one.get("text")], what="the deletion")
    with subtests.test("a status for chosen people"):
        other = sender.api.phone("Dora")
        sent = sender.send("text", {"body": "Sale"}, to="status", audience=[phone])
        assert sender.shown(sent)["text"] == "Sale"
        assert [one["phone"] for one in sent["audience"]] == [phone]
        assert sender.api.received(other) == []
    with subtests.test("a status"):
        control("status_privacy", phone=sender.number, type="whitelist", phones=[phone])
        sent = sender.send("text", {"body": "Open today", "background": "#AA3300"}, to="status")
        shown = sender.shown(sent)
        assert shown["message"]["extendedTextMessage"]["backgroundArgb"] == 0xFFAA3300


def test_files_and_what_goes_with_them(sender: Sender, subtests: pytest.Subtests) -> None:
    picture = {"data": encoded()}
    with subtests.test("view once"):
        shown = sender.shown(sender.send("image", picture, view_once=True))
        assert (shown["type"], shown["view_once"], shown["attachment"]["status"]) == ("image", True, "ok")
    with subtests.test("a new caption"):
        sent = sender.send("image", picture | {"caption": "Helo"})
        sender.send("edit", {"message_id": sent["id"], "caption": "Hello"})
        wait_for(lambda: sender.control("message", phone=sender.customer, id=sent["wa_id"])["text"] == "Hello")
    with subtests.test("forwarded"):
        shown = sender.shown(sender.send("forward", {"message_id": sent["id"]}))
        assert (shown["type"], shown["forwarded"], shown["attachment"]["status"]) == ("image", True, "ok")
    with subtests.test("an album"):
        items = [{"type": "image", **picture, "caption": "One"}, {"type": "image", "data": encoded("blue")}]
        album = sender.send("album", {"items": items})
        shown = sender.shown(album)
        assert shown["message"]["albumMessage"]["expectedImageCount"] == 2
        for item in album["album"]["items"]:
            row = sender.arrived(item["message_id"])
            assert row["album"] == album["id"]
            shown = sender.shown(row)
            assert (shown["type"], shown["album"], shown["attachment"]["status"]) == ("image", album["wa_id"], "ok")


def encoded(colour: str = "red") -> str:
    """A picture in base64."""
    content = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(content, "JPEG")
    return base64.b64encode(content.getvalue()).decode()
