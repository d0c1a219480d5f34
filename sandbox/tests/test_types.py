"""Every type, between real clients and phones, both ways: the library must agree with what the phones make."""

from __future__ import annotations

import base64
import hashlib
import itertools
import os
from typing import Any

import pytest

from .harness import ClientProcess, Refused, wait_until

ALICE, BOB = "491700000001", "491700000002"
_numbers = itertools.count(491712000000)
DATA = os.urandom(70_001)
THUMBNAIL, WAVEFORM = os.urandom(900), bytes(range(64))
VCARD = "BEGIN:VCARD\nVERSION:3.0\nFN:Erika\nTEL;waid=491700000009:+49 170 0000009\nEND:VCARD"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture
def phone(clients: ClientProcess) -> str:
    return new_phone(clients)


def new_phone(clients: ClientProcess, name: str = "Customer") -> str:
    number = str(next(_numbers))
    clients.sandbox("create_phone", phone=number, name=name)
    return number


def lid(clients: ClientProcess, number: str) -> str:
    return str(clients.sandbox("phone", phone=number)["lid"])


def received(clients: ClientProcess, phone: str, id_: str) -> dict[str, Any]:
    """A message as the phone shows it, once it is there."""
    return dict(wait_until(lambda: next(iter(_found(clients, phone, id_)), None), f"{id_} at {phone}"))


def _found(clients: ClientProcess, phone: str, id_: str) -> list[dict[str, Any]]:
    return [m for m in clients.sandbox("messages", phone=phone, limit=1000, raw=True)["results"] if m["id"] == id_]


def subset(part: Any, whole: Any) -> bool:
    """Whether everything in one JSON value is in the other."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(k in whole and subset(v, whole[k]) for k, v in part.items())
    return bool(part == whole)


# --- from a client to a phone ----------------------------------------------------------------

TEXTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a text": ({"conversation": "hello"}, {"type": "text", "text": "hello"}),
    "a link preview": (
        {
            "extendedTextMessage": {
                "text": "see https://example.com",
                "matchedText": "https://example.com",
                "title": "Example",
                "description": "For examples",
                "JPEGThumbnail": b64(THUMBNAIL),
            }
        },
        {
            "type": "text",
            "text": "see https://example.com",
            "link_preview": {
                "url": "https://example.com",
                "title": "Example",
                "description": "For examples",
                "thumbnail": b64(THUMBNAIL),
            },
        },
    ),
    "what goes with a text": (
        {
            "extendedTextMessage": {
                "text": "@1 @all",
                "contextInfo": {
                    "stanzaID": "ABC",
                    "participant": "1@lid",
                    "quotedMessage": {"conversation": "before"},
                    "mentionedJID": ["1@lid"],
                    "nonJIDMentions": 1,
                    "isForwarded": True,
                    "forwardingScore": 1,
                    "expiration": 86400,
                },
            }
        },
        {
            "type": "text",
            "reply_to": "ABC",
            "context": {"message_id": "ABC", "from": "1@lid", "quoted": {"type": "text", "text": "before"}},
            "mentions": ["1@lid"],
            "mention_all": True,
            "forwarded": True,
            "expires_in": 86400,
        },
    ),
    "a location": (
        {"locationMessage": {"degreesLatitude": 52.5, "degreesLongitude": 13.4, "name": "Berlin", "address": "Mitte"}},
        {
            "type": "location",
            "location": {"latitude": 52.5, "longitude": 13.4, "name": "Berlin", "address": "Mitte"},
        },
    ),
    "a live location": (
        {
            "liveLocationMessage": {
                "degreesLatitude": 52.5,
                "degreesLongitude": 13.4,
                "accuracyInMeters": 7,
                "speedInMps": 1.5,
                "degreesClockwiseFromMagneticNorth": 90,
                "caption": "on my way",
                "sequenceNumber": "3",
            }
        },
        {
            "type": "live_location",
            "live_location": {
                "latitude": 52.5,
                "longitude": 13.4,
                "accuracy_m": 7,
                "speed_mps": 1.5,
                "heading_degrees": 90,
                "caption": "on my way",
                "sequence": 3,
            },
        },
    ),
    "a contact": (
        {"contactMessage": {"displayName": "Erika", "vcard": VCARD}},
        {"type": "contacts", "contacts": [{"name": "Erika", "vcard": VCARD}]},
    ),
    "contacts": (
        {"contactsArrayMessage": {"displayName": "2", "contacts": [{"displayName": n, "vcard": VCARD} for n in "ab"]}},
        {"type": "contacts", "contacts": [{"name": "a", "vcard": VCARD}, {"name": "b", "vcard": VCARD}]},
    ),
    "a group invite": (
        {
            "groupInviteMessage": {
                "groupJID": "1@g.us",
                "inviteCode": "CODE",
                "inviteExpiration": "1900000000",
                "groupName": "Team",
                "caption": "join",
            }
        },
        {
            "type": "group_invite",
            "group_invite": {
                "group": "1@g.us",
                "code": "CODE",
                "expires_at": 1900000000,
                "name": "Team",
                "caption": "join",
            },
        },
    ),
    "an event": (
        {
            "eventMessage": {
                "name": "Party",
                "description": "at home",
                "startTime": "1900000000",
                "endTime": "1900003600",
                "location": {"name": "Home"},
                "joinLink": "https://call.whatsapp.com/video/x",
            },
            "messageContextInfo": {"messageSecret": b64(bytes(32))},
        },
        {
            "type": "event",
            "event": {
                "name": "Party",
                "description": "at home",
                "starts_at": 1900000000,
                "ends_at": 1900003600,
                "location": {"name": "Home"},
                "call": "https://call.whatsapp.com/video/x",
            },
        },
    ),
    "an album": (
        {"albumMessage": {"expectedImageCount": 2, "expectedVideoCount": 1}},
        {"type": "album", "album": {"images": 2, "videos": 1}},
    ),
    "something disappearing": (
        {"ephemeralMessage": {"message": {"extendedTextMessage": {"text": "soon", "contextInfo": {"expiration": 60}}}}},
        {"type": "text", "text": "soon", "expires_in": 60},
    ),
    "something that nobody knows": ({"requestPhoneNumberMessage": {}}, {"type": "requestPhoneNumberMessage"}),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_a_phone_reads_what_a_client_writes(clients: ClientProcess, phone: str, kind: str) -> None:
    message, expected = TEXTS[kind]
    id_ = clients("send_any", "alice", to=phone, message=message)["id"]
    shown = received(clients, phone, id_)
    assert subset(expected, shown), shown
    assert subset(message, shown["message"]), shown["message"]


FILES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "an image": (
        "imageMessage",
        {"mimetype": "image/jpeg", "caption": "look", "width": 640, "height": 480, "JPEGThumbnail": b64(THUMBNAIL)},
        {
            "type": "image",
            "text": "look",
            "image": {
                "mimetype": "image/jpeg",
                "caption": "look",
                "width": 640,
                "height": 480,
                "thumbnail": b64(THUMBNAIL),
            },
        },
    ),
    "a video": (
        "videoMessage",
        {"mimetype": "video/mp4", "seconds": 4},
        {"type": "video", "video": {"mimetype": "video/mp4", "seconds": 4}},
    ),
    "a GIF": (
        "videoMessage",
        {"mimetype": "video/mp4", "gifPlayback": True},
        {"type": "video", "video": {"gif": True, "mimetype": "video/mp4"}},
    ),
    "a round video": (
        "ptvMessage",
        {"mimetype": "video/mp4", "seconds": 9},
        {"type": "video", "video": {"round": True, "seconds": 9}},
    ),
    "audio": ("audioMessage", {"mimetype": "audio/mpeg", "seconds": 3}, {"type": "audio", "audio": {"seconds": 3}}),
    "a voice note": (
        "audioMessage",
        {"mimetype": "audio/ogg; codecs=opus", "seconds": 3, "PTT": True, "waveform": b64(WAVEFORM)},
        {"type": "audio", "audio": {"voice": True, "waveform": b64(WAVEFORM)}},
    ),
    "a document": (
        "documentMessage",
        {"mimetype": "application/pdf", "fileName": "a.pdf", "caption": "read", "pageCount": 2},
        {
            "type": "document",
            "filename": "a.pdf",
            "document": {"mimetype": "application/pdf", "filename": "a.pdf", "caption": "read", "pages": 2},
        },
    ),
    "a sticker": (
        "stickerMessage",
        {"mimetype": "image/webp", "isAnimated": True},
        {"type": "sticker", "sticker": {"mimetype": "image/webp", "animated": True}},
    ),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_phone_downloads_and_checks_what_a_client_attaches(clients: ClientProcess, phone: str, kind: str) -> None:
    field, values, expected = FILES[kind]
    sent = clients("send_any", "alice", to=phone, message={field: values}, media={field: b64(DATA)})
    shown = received(clients, phone, sent["id"])
    assert subset(expected, shown), shown
    assert shown["attachment"] == {"status": "ok", "size": len(DATA), "sha256": hashlib.sha256(DATA).hexdigest()}
    assert clients.sandbox("attachment", phone=phone, id=sent["id"])["data"] == b64(DATA)


def test_a_damaged_or_missing_attachment_is_told(clients: ClientProcess, phone: str) -> None:
    message = {"imageMessage": {"mimetype": "image/jpeg"}}
    sent = clients("send_any", "alice", to=phone, message=message, media={"imageMessage": b64(DATA)})
    content = received(clients, phone, sent["id"])["message"]["imageMessage"]
    for name, value in (("mediaKey", b64(bytes(32))), ("fileSHA256", b64(bytes(32))), ("fileLength", "5")):
        id_ = clients("send_any", "alice", to=phone, message={"imageMessage": content | {name: value}})["id"]
        assert received(clients, phone, id_)["attachment"]["status"] == "damaged", name
    id_ = clients("send_any", "alice", to=phone, message={"imageMessage": content | {"directPath": "/v/no?x=1"}})["id"]
    assert received(clients, phone, id_)["attachment"]["status"] == "missing"


def test_what_a_client_does_to_messages_is_seen_at_the_phone(clients: ClientProcess, phone: str) -> None:
    to = lid(clients, phone)
    ids = [clients("send", "alice", to=phone, text=text) for text in ("one", "two", "three")]
    clients("edit", "alice", to=to, id=ids[0], text="ONE")
    clients("revoke", "alice", to=to, id=ids[1])
    clients("pin", "alice", to=to, sender=f"{ALICE}@s.whatsapp.net", id=ids[2], seconds=86400)
    theirs = clients.sandbox("send_text", phone=phone, to=ALICE, text="from the phone")["id"]
    clients.expect(client="alice", event="message", id=theirs)
    clients("react", "alice", to=to, sender=to, id=theirs, emoji="👍")
    wait_until(lambda: clients.sandbox("message", phone=phone, id=theirs).get("reactions") == {ALICE: "👍"})
    one, two, three = (clients.sandbox("message", phone=phone, id=id_) for id_ in ids)
    assert (one["edited"], one["text"], one["message"]["conversation"]) == (True, "ONE", "one")
    assert two["revoked"] is True
    assert three["pinned"] == 86400
    kinds = [m["type"] for m in clients.sandbox("messages", phone=phone)["results"]]
    assert kinds == ["text", "text", "text", "edit", "revoke", "pin", "reaction"]


def test_votes_are_decrypted_on_both_sides(clients: ClientProcess, phone: str) -> None:
    poll = {"name": "Lunch?", "options": [{"optionName": o} for o in ("Pizza", "Salad")], "selectableOptionsCount": 1}
    asked = {"pollCreationMessageV3": poll, "messageContextInfo": {"messageSecret": b64(os.urandom(32))}}
    theirs = clients("send_any", "alice", to=phone, message=asked)["id"]
    shown = received(clients, phone, theirs)
    assert shown["poll"] == {"question": "Lunch?", "options": ["Pizza", "Salad"], "selectable": 1}
    vote = {"message_id": theirs, "options": ["Salad"]}
    sent = clients.sandbox("send_message", phone=phone, to=ALICE, type="poll_vote", content=vote)["id"]
    event = clients.expect(client="alice", event="message", id=sent)["event_bytes"]
    assert clients("votes_of", "alice", event=event) == [hashlib.sha256(b"Salad").hexdigest()]

    ours = clients.sandbox(
        "send_message", phone=phone, to=ALICE, type="poll", content={"question": "When?", "options": ["Now", "Later"]}
    )["id"]
    event = clients.expect(client="alice", event="message", id=ours)["event_bytes"]
    id_ = clients("vote", "alice", event=event, options=["Later"])
    assert received(clients, phone, id_)["poll_vote"] == {"message_id": ours, "options": ["Later"]}
    assert clients.sandbox("message", phone=phone, id=ours)["votes"] == {ALICE: ["Later"]}


# --- from a phone to a client ----------------------------------------------------------------

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
