"""Every type from phones to real clients: the library agrees with what the phones make."""

from __future__ import annotations

from typing import Any

import pytest

from .harness import ClientProcess, Refused
from .phones import ALICE, BOB, DATA, THUMBNAIL, VCARD, WAVEFORM, b64, lid, new_phone, received, subset


@pytest.fixture
def phone(clients: ClientProcess) -> str:
    return new_phone(clients)


CONTENTS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "a text": ("text", {"body": "hello"}, {}),
    "a link preview": (
        "text",
        {"body": "see https://a.b", "link_preview": {"url": "https://a.b", "title": "A", "thumbnail": b64(THUMBNAIL)}},
        {},
    ),
    "an image": ("image", {"data": b64(DATA), "caption": "look", "width": 3, "height": 4}, {}),
    "a video": ("video", {"data": b64(DATA), "seconds": 3}, {}),
    "a GIF": ("gif", {"data": b64(DATA)}, {}),
    "a round video": ("round", {"data": b64(DATA)}, {}),
    "audio": ("audio", {"data": b64(DATA), "seconds": 3}, {}),
    "a voice note": ("voice", {"data": b64(DATA), "seconds": 3, "waveform": b64(WAVEFORM)}, {}),
    "a document": ("document", {"data": b64(DATA), "filename": "a.pdf", "mimetype": "application/pdf"}, {}),
    "a document with caption": ("document", {"data": b64(DATA), "filename": "a.pdf", "caption": "read"}, {}),
    "a sticker": ("sticker", {"data": b64(DATA), "animated": True}, {}),
    "a location": ("location", {"latitude": 1.5, "longitude": -2.5, "name": "There"}, {}),
    "a live location": ("live_location", {"latitude": 1.5, "longitude": -2.5, "sequence": 2}, {}),
    "a contact": ("contacts", [{"name": "Erika", "vcard": VCARD}], {}),
    "contacts": ("contacts", [{"name": n, "vcard": VCARD} for n in "ab"], {}),
    "a poll": ("poll", {"question": "?", "options": ["a", "b"], "selectable": 0}, {}),
    "an event": ("event", {"name": "Party", "starts_at": 1900000000, "location": {"latitude": 1, "longitude": 2}}, {}),
    "something unknown": ("unsupported", {}, {}),
    "an image to be seen once": ("image", {"data": b64(DATA)}, {"view_once": True}),
    "a voice note to be heard once": ("voice", {"data": b64(DATA)}, {"view_once": True}),
    "something forwarded and disappearing": ("text", {"body": "x"}, {"forwarded": True, "expires_in": 86400}),
    "mentions": ("text", {"body": "@x"}, {"mentions": [ALICE], "mention_all": True}),
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_a_client_reads_what_a_phone_writes(clients: ClientProcess, phone: str, kind: str) -> None:
    type_, content, attributes = CONTENTS[kind]
    id_ = clients.sandbox("send_message", phone=phone, to=ALICE, type=type_, content=content, **attributes)["id"]
    event = clients.expect(client="alice", event="message", id=id_)
    mine = clients.sandbox("message", phone=phone, id=id_)["message"]
    wrapped = [part["message"] for part in mine.values() if isinstance(part, dict) and "message" in part]
    inner = wrapped[0] if wrapped else mine
    assert subset(inner, event["message"]) or subset(mine, event["message"]), (mine, event["message"])
    if isinstance(content, dict) and "data" in content and type_ != "round":  # which the library does not download
        assert event["data"] == b64(DATA)


def test_a_phone_replies_reacts_edits_revokes_and_pins(clients: ClientProcess, phone: str) -> None:
    def write(type_: str, content: Any, **attributes: Any) -> str:
        return str(
            clients.sandbox("send_message", phone=phone, to=ALICE, type=type_, content=content, **attributes)["id"]
        )

    theirs = clients("send", "alice", to=phone, text="question")
    received(clients, phone, theirs)
    reply = write("text", {"body": "answer"}, reply_to=theirs)
    context = clients.expect(client="alice", event="message", id=reply)["message"]["extendedTextMessage"]["contextInfo"]
    assert (context["stanzaID"], context["participant"]) == (theirs, lid(clients, ALICE))
    assert context["quotedMessage"] == {"conversation": "question"}

    reaction = write("reaction", {"message_id": theirs, "emoji": "🎉"})
    key = clients.expect(client="alice", event="message", id=reaction)["message"]["reactionMessage"]["key"]
    assert (key["ID"], key.get("fromMe", False)) == (theirs, False)
    edit = write("edit", {"message_id": reply, "body": "better"})
    event = clients.expect(client="alice", event="message", id=edit)
    assert event["edit"] == "1"
    assert "better" in str(event["message"])
    revoke = write("revoke", {"message_id": reply})
    event = clients.expect(client="alice", event="message", id=revoke)
    assert (event["edit"], event["message"]["protocolMessage"]["key"]["ID"]) == ("7", reply)
    pin = write("pin", {"message_id": theirs, "seconds": 604800})
    event = clients.expect(client="alice", event="message", id=pin)
    assert event["message"]["pinInChatMessage"]["type"] == "PIN_FOR_ALL"
    assert event["message"]["messageContextInfo"]["messageAddOnDurationInSecs"] == 604800
    assert clients.sandbox("message", phone=phone, id=reply)["revoked"] is True
    assert clients.sandbox("message", phone=phone, id=theirs)["reactions"] == {phone: "🎉"}


def test_an_album_and_its_items_belong_together(clients: ClientProcess, phone: str) -> None:
    items = [{"type": "image", "data": b64(DATA)}, {"type": "video", "data": b64(DATA), "caption": "c"}]
    made = clients.sandbox("send_message", phone=phone, to=ALICE, type="album", content={"items": items})
    album = clients.expect(client="alice", event="message", id=made["id"])["message"]["albumMessage"]
    assert (album["expectedImageCount"], album["expectedVideoCount"]) == (1, 1)
    for id_ in made["items"]:
        info = clients.expect(client="alice", event="message", id=id_)["message"]["messageContextInfo"]
        assert info["messageAssociation"]["associationType"] == "MEDIA_ALBUM"
        assert info["messageAssociation"]["parentMessageKey"]["ID"] == made["id"]
        assert clients.sandbox("message", phone=phone, id=id_)["album"] == made["id"]


def test_a_response_to_an_event_is_decrypted_by_its_author(clients: ClientProcess, phone: str) -> None:
    other = new_phone(clients)
    content = {"name": "Party", "starts_at": 1900000000}
    event = clients.sandbox("send_message", phone=phone, to=other, type="event", content=content)["id"]
    answer = {"message_id": event, "response": "maybe"}
    id_ = clients.sandbox("send_message", phone=other, to=phone, type="event_response", content=answer)["id"]
    assert clients.sandbox("message", phone=phone, id=event)["responses"] == {other: "maybe"}
    assert clients.sandbox("message", phone=phone, id=id_)["event_response"]["response"] == "maybe"


def test_what_the_owner_writes_himself_reaches_his_clients_as_a_copy(clients: ClientProcess) -> None:
    other = new_phone(clients)
    for to in (other, BOB):
        for type_, content in (("image", {"data": b64(DATA)}), ("poll", {"question": "?", "options": ["a"]})):
            id_ = clients.sandbox("send_message", phone=BOB, to=to, type=type_, content=content)["id"]
            event = clients.expect(client="bob", event="message", id=id_)
            assert event["from_me"] is True
            assert type_ in str(event["message"]).lower()


def test_a_message_may_be_given_as_protobuf(clients: ClientProcess, phone: str) -> None:
    message = {"extendedTextMessage": {"text": "raw", "previewType": "VIDEO"}}
    id_ = clients.sandbox("send", phone=phone, to=ALICE, message=message)["id"]
    assert subset(message, clients.expect(client="alice", event="message", id=id_)["message"])
    with pytest.raises(Refused, match="bad_arguments"):
        clients.sandbox("send", phone=phone, to=ALICE, message={"nonsense": 1})


@pytest.mark.parametrize(
    ("type_", "content"),
    [
        ("dance", {}),
        ("text", {}),
        ("text", {"body": ""}),
        ("text", {"body": "x", "more": 1}),
        ("image", {}),
        ("image", {"data": "AAAA", "bytes": 5}),
        ("image", {"data": ""}),
        ("image", {"path": "/no/such/file"}),
        ("image", {"data": "AAAA", "width": -1}),
        ("image", {"data": "AAAA", "width": 2**40}),
        ("voice", {"data": "AAAA", "caption": "x"}),
        ("poll", {"question": "x", "options": []}),
        ("poll_vote", {"message_id": "nothing", "options": []}),
        ("event_response", {"message_id": "nothing", "response": "perhaps"}),
        ("unsupported", {"kind": "conversation"}),
        ("unsupported", {"kind": "nonsense"}),
    ],
)
def test_what_cannot_be_composed_is_refused(clients: ClientProcess, phone: str, type_: str, content: Any) -> None:
    with pytest.raises(Refused) as caught:
        clients.sandbox("send_message", phone=phone, to=ALICE, type=type_, content=content)
    assert caught.value.code in ("bad_arguments", "message_not_found")
