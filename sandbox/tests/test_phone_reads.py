"""Every type from real clients to phones: what the phones decrypt is what was sent."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import pytest

from .harness import ClientProcess, wait_until
from .phones import ALICE, DATA, THUMBNAIL, VCARD, WAVEFORM, b64, lid, new_phone, received, subset


@pytest.fixture
def phone(clients: ClientProcess) -> str:
    return new_phone(clients)


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
