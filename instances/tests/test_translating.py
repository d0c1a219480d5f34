"""Every kind of message, as the library reports it, in the words of the API."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest

from instances.whatsapp.news import (
    CallOver,
    ContactPresence,
    Inbound,
    IncomingCall,
    Person,
    ReadOnPhone,
    Receipt,
    Typing,
)
from instances.whatsapp.protos import Message, proto
from instances.whatsapp.raw import SECRETS, raw_json
from instances.whatsapp.translating import (
    CALL_END,
    CALL_NOTICE,
    CALL_OFFER,
    MESSAGE,
    PRESENCE,
    RECEIPT,
    TYPING,
    UNDECRYPTABLE,
    translate,
)

CARLA, US, GROUP = ("15550100002", "777"), ("15550100001", "666"), "120363000000000001"
SECRET = bytes(range(32))
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def jid(user: str, server: str = "s.whatsapp.net") -> Any:
    return proto.JID(User=user, Server=server, Device=0, RawAgent=0, Integrator=0, IsEmpty=not user)


def source(*, from_me: bool = False, group: bool = False) -> Any:
    who, other = (US, CARLA) if from_me else (CARLA, US)
    return proto.MessageSource(
        Chat=jid(GROUP, "g.us") if group else jid(CARLA[1], "lid"),
        Sender=jid(who[1], "lid"),
        SenderAlt=jid(who[0]),
        RecipientAlt=jid(other[0]) if from_me else jid(""),
        IsFromMe=from_me,
        IsGroup=group,
    )


def info(**more: Any) -> Any:
    outside = {"from_me": more.pop("from_me", False), "group": more.pop("group", False)}
    defaults = {"ID": "3EB0A", "Pushname": "Carla", "Timestamp": int(NOON.timestamp() * 1000)}
    return proto.MessageInfo(MessageSource=source(**outside), **(defaults | more))


def event(message: Any, **more: Any) -> bytes:
    raw: bytes = proto.Message(Info=info(**more), Message=message).SerializePartialToString()
    return raw


def received(message: Any, **more: Any) -> Inbound:
    found = translate(MESSAGE, event(message, **more))
    assert isinstance(found, Inbound)
    return found


FILE = {
    "mimetype": "image/jpeg",
    "fileSHA256": b"\x01" * 32,
    "fileEncSHA256": b"\x02" * 32,
    "mediaKey": b"\x03" * 32,
    "fileLength": 1234,
    "directPath": "/v/t62/x?y=z",
}
SHOWN = {"mime_type": "image/jpeg", "size": 1234, "sha256": "01" * 32}
VCARD = (
    "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Doe;Dana;;Dr.;\r\nFN:Dana\\, Doe\r\nORG:Acme;Sales\r\n"
    "item1.TEL;type=CELL;waid=15550100009:+1 555 0100009\r\nEMAIL;type=WORK:dana@example.com\r\nEND:VCARD"
)
CARD = {
    "name": {"last_name": "Doe", "first_name": "Dana", "prefix": "Dr.", "formatted_name": "Dana, Doe"},
    "phones": [{"phone": "+1 555 0100009", "type": "CELL", "wa_id": "15550100009"}],
    "emails": [{"email": "dana@example.com", "type": "WORK"}],
    "org": {"company": "Acme"},
    "vcard": VCARD,
}
KEY = {"remoteJID": "666@lid", "ID": "3EB0T", "fromMe": False}
POLL = {
    "name": "Lunch?",
    "options": [{"optionName": "Soup"}, {"optionName": "Salad"}],
    "selectableOptionsCount": 1,
}
SEALED = {"encPayload": b"p" * 40, "encIV": b"i" * 12}
PREVIEW = {"text": "see http://a.example", "matchedText": "http://a.example", "title": "A", "description": "B"}

KINDS: list[tuple[dict[str, Any], str, Any]] = [
    ({"conversation": "hello"}, "text", {"body": "hello"}),
    ({"extendedTextMessage": {"text": "hello"}}, "text", {"body": "hello"}),
    (
        {"extendedTextMessage": PREVIEW},
        "text",
        {
            "body": "see http://a.example",
            "link_preview": {"url": "http://a.example", "title": "A", "description": "B"},
        },
    ),
    (
        {"imageMessage": FILE | {"caption": "look", "width": 4, "height": 3}},
        "image",
        SHOWN | {"caption": "look", "width": 4, "height": 3},
    ),
    ({"videoMessage": FILE | {"seconds": 9}}, "video", SHOWN | {"seconds": 9}),
    ({"videoMessage": FILE | {"gifPlayback": True}}, "video", SHOWN | {"gif": True}),
    ({"ptvMessage": FILE}, "video", SHOWN | {"round": True}),
    ({"audioMessage": FILE | {"seconds": 2}}, "audio", SHOWN | {"seconds": 2}),
    ({"audioMessage": FILE | {"PTT": True}}, "audio", SHOWN | {"voice": True}),
    (
        {"documentMessage": FILE | {"fileName": "a.pdf", "pageCount": 3}},
        "document",
        SHOWN | {"filename": "a.pdf", "pages": 3},
    ),
    (
        {"documentWithCaptionMessage": {"message": {"documentMessage": FILE | {"caption": "read"}}}},
        "document",
        SHOWN | {"caption": "read"},
    ),
    ({"stickerMessage": FILE}, "sticker", SHOWN),
    ({"stickerMessage": FILE | {"isAnimated": True}}, "sticker", SHOWN | {"animated": True}),
    (
        {"locationMessage": {"degreesLatitude": 52.5, "degreesLongitude": 13.4, "name": "Berlin"}},
        "location",
        {"latitude": 52.5, "longitude": 13.4, "name": "Berlin"},
    ),
    (
        {"liveLocationMessage": {"degreesLatitude": 1, "degreesLongitude": 2, "speedInMps": 1.5, "sequenceNumber": 7}},
        "live_location",
        {"latitude": 1.0, "longitude": 2.0, "speed_mps": 1.5, "sequence": 7},
    ),
    ({"contactMessage": {"displayName": "Dana", "vcard": VCARD}}, "contacts", [CARD]),
    ({"contactsArrayMessage": {"contacts": [{"vcard": VCARD}, {"vcard": VCARD}]}}, "contacts", [CARD, CARD]),
    (
        {"pollCreationMessageV3": POLL},
        "poll",
        {"question": "Lunch?", "options": ["Soup", "Salad"], "selectable": 1},
    ),
    (
        {"groupInviteMessage": {"groupJID": "1@g.us", "inviteCode": "x", "groupName": "G", "inviteExpiration": 1}},
        "group_invite",
        {"group": "1@g.us", "code": "x", "name": "G", "expires_at": "1970-01-01T00:00:01.000Z"},
    ),
    (
        {"eventMessage": {"name": "Party", "startTime": 60, "location": {"degreesLatitude": 1, "name": "Here"}}},
        "event",
        {
            "name": "Party",
            "starts_at": "1970-01-01T00:01:00.000Z",
            "location": {"latitude": 1.0, "longitude": 0.0, "name": "Here"},
        },
    ),
    ({"albumMessage": {"expectedImageCount": 2, "expectedVideoCount": 1}}, "album", {"images": 2, "videos": 1}),
    ({"reactionMessage": {"key": KEY, "text": "👍"}}, "reaction", {"emoji": "👍"}),
    ({"reactionMessage": {"key": KEY}}, "reaction", {"emoji": ""}),
    (
        {"protocolMessage": {"key": KEY, "type": 14, "editedMessage": {"conversation": "new"}}},
        "edit",
        {"text": {"body": "new"}},
    ),
    (
        {"editedMessage": {"message": {"protocolMessage": {"key": KEY, "type": 14, "editedMessage": {
            "imageMessage": FILE | {"caption": "new"}}}}}},
        "edit",
        {"caption": "new"},
    ),
    ({"protocolMessage": {"key": KEY, "type": 0}}, "revoke", {}),
    ({"pollUpdateMessage": {"pollCreationMessageKey": KEY, "vote": SEALED}}, "poll_vote", {"options": None}),
    (
        {"encEventResponseMessage": {"eventCreationMessageKey": KEY} | SEALED},
        "event_response",
        {"response": None},
    ),
    (
        {"pinInChatMessage": {"key": KEY, "type": 1}, "messageContextInfo": {"messageAddOnDurationInSecs": 86400}},
        "pin",
        {"seconds": 86400},
    ),
    ({"pinInChatMessage": {"key": KEY, "type": 2}}, "pin", {"seconds": 0}),
    ({"requestPhoneNumberMessage": {}}, "unsupported", {"kind": "requestPhoneNumber"}),
    ({"templateMessage": {}}, "unsupported", {"kind": "template"}),
]  # fmt: skip


def built(fields: dict[str, Any]) -> Any:
    return Message(**fields)


@pytest.mark.parametrize(("fields", "type_", "content"), KINDS, ids=lambda one: next(iter(one)) if one else "")
def test_each_kind_has_the_shape_it_is_sent_with(fields: dict[str, Any], type_: str, content: Any) -> None:
    found = received(built(fields))
    assert (found.type, found.content) == (type_, content)
    assert (found.chat, found.chat_lid) == ("15550100002@s.whatsapp.net", "777@lid")
    assert (found.sender, found.sent_at, found.wa_id) == (Person("15550100002", "777@lid", "Carla"), NOON, "3EB0A")


@pytest.mark.parametrize("envelope", [
    "ephemeralMessage", "viewOnceMessage", "viewOnceMessageV2", "viewOnceMessageV2Extension", "editedMessage",
    "groupMentionedMessage", "associatedChildMessage",
])  # fmt: skip
def test_envelopes_are_opened(envelope: str) -> None:
    inner = {"imageMessage": FILE, "messageContextInfo": {"messageSecret": SECRET}}
    found = received(built({"ephemeralMessage": {"message": {envelope: {"message": inner}}}}))
    assert (found.type, found.content, found.secret) == ("image", SHOWN, SECRET)
    assert found.attributes.get("view_once", False) is envelope.startswith("viewOnce")


def test_a_copy_from_another_device_is_a_message_of_ours() -> None:
    copy = {"deviceSentMessage": {"destinationJID": "777@lid", "message": {"conversation": "typed"}}}
    found = received(built(copy), from_me=True)
    assert (found.from_me, found.content, found.chat) == (True, {"body": "typed"}, "15550100002@s.whatsapp.net")


def test_what_goes_with_a_content_is_told() -> None:
    context = {
        "stanzaID": "3EB0Q",
        "participant": "666@lid",
        "quotedMessage": {"conversation": "?"},
        "mentionedJID": ["888@lid", "15550100003@s.whatsapp.net", "no jid"],
        "isForwarded": True,
        "expiration": 86400,
    }
    found = received(built({"extendedTextMessage": {"text": "yes", "contextInfo": context}}))
    assert found.quoted is not None
    assert (found.quoted.wa_id, found.quoted.author) == ("3EB0Q", Person(None, "666@lid"))
    assert [one["id"] for one in found.attributes["mentions"]] == ["888@lid", "15550100003@s.whatsapp.net"]
    assert (found.attributes["forwarded"], found.attributes["expires_in"]) == (True, 86400)


def test_a_file_can_be_fetched_by_what_is_told_of_it() -> None:
    file = received(built({"audioMessage": FILE | {"PTT": True}})).file
    assert file is not None
    assert (file.kind, file.direct_path, file.media_key, file.size) == ("voice", "/v/t62/x?y=z", b"\x03" * 32, 1234)


def test_the_items_of_an_album_name_it() -> None:
    association = {"associationType": 1, "parentMessageKey": KEY | {"fromMe": True}}
    found = received(built({"imageMessage": FILE, "messageContextInfo": {"messageAssociation": association}}))
    assert found.album is not None
    assert found.album.wa_id == "3EB0T"


@pytest.mark.parametrize("fields", [
    {"senderKeyDistributionMessage": {"groupID": "1@g.us"}},
    {"protocolMessage": {"type": 5}},
    {"messageContextInfo": {"messageSecret": SECRET}},
    {},
])  # fmt: skip
def test_what_holds_nothing_for_a_person_is_no_message(fields: dict[str, Any]) -> None:
    assert translate(MESSAGE, event(built(fields))) is None
    assert translate(MESSAGE, event(built({"conversation": "x"}), Category="peer")) is None


def test_a_kind_newer_than_the_definition_says_that_it_is_unknown() -> None:
    newer = Message.FromString(b"\xf2\x7d\x03abc")  # field 2030
    assert received(newer).content == {"kind": "unknown"}


def test_a_group_message_has_its_author() -> None:
    fields = {"protocolMessage": {"key": KEY | {"participant": "666@lid"}, "type": 0}}
    found = received(built(fields), group=True)
    assert (found.chat, found.chat_lid) == (f"{GROUP}@g.us", None)
    assert found.target is not None
    assert found.target.author == Person(None, "666@lid")


@pytest.mark.parametrize(("edit", "type_", "content"), [("3", "edit", {"text": {"body": "new"}}), ("8", "revoke", {})])
def test_a_channel_changes_its_post(edit: str, type_: str, content: dict[str, Any]) -> None:
    channel = proto.MessageSource(Chat=jid("1", "newsletter"), Sender=jid("1", "newsletter"))
    about = proto.MessageInfo(MessageSource=channel, ID="P", Timestamp=60, Edit=edit, ServerID=7)
    event = proto.Message(Info=about, Message=built({"conversation": "new"}), NewsLetterMeta={"EditTS": 99})
    found = translate(MESSAGE, event.SerializePartialToString())
    assert isinstance(found, Inbound)
    assert (found.type, found.content, found.wa_id) == (type_, content, "P.99")
    assert found.target is not None
    assert (found.target.wa_id, found.sender.jid) == ("P", "1@newsletter")


@pytest.mark.parametrize(("fields", "expected"), [
    ({"conversation": "a\x00b"}, "a\ufffdb"),
    ({"conversation": "x" * 100_000}, "x" * 65_536),
])  # fmt: skip
def test_text_is_bounded_and_storable(fields: dict[str, Any], expected: str) -> None:
    assert received(built(fields), Pushname="N" * 500).content == {"body": expected}
    assert len(received(built(fields), Pushname="N" * 500).sender.name) == 200


def test_text_that_is_not_utf_8_is_read_as_far_as_it_goes() -> None:
    lone = Message.FromString(b"\x0a\x05a\xed\xa0\x80b")  # a lone surrogate
    body = received(lone).content["body"]
    assert body.startswith("a")
    assert body.endswith("b")
    body.encode()


def test_what_is_nested_too_deeply_becomes_a_message_that_says_so() -> None:
    def field(number: int, value: bytes) -> bytes:
        size, length = b"", len(value)
        while length > 127:
            size, length = size + bytes([length & 127 | 128]), length >> 7
        return bytes([number << 3 & 127 | 2 | (128 if number > 15 else 0)]) + (
            bytes([number >> 4]) if number > 15 else b""
        ) + size + bytes([length]) + value  # fmt: skip

    inner = field(1, b"deep")
    for _ in range(120):
        inner = field(37, field(1, inner))
    raw = field(1, info().SerializePartialToString()) + field(2, inner)
    found = translate(MESSAGE, raw)
    assert isinstance(found, Inbound)
    assert (found.wa_id, found.type, found.content) == ("3EB0A", "unsupported", {"kind": "unreadable"})


def test_what_could_not_be_decrypted_is_a_message_unless_whatsapp_hides_it() -> None:
    for unavailable, reason in ((True, "unavailable"), (False, "not_decrypted")):
        raw = proto.UndecryptableMessage(Info=info(), IsUnavailable=unavailable, DecryptFailMode=1)
        found = translate(UNDECRYPTABLE, raw.SerializePartialToString())
        assert isinstance(found, Inbound)
        assert (found.type, found.content) == ("undecryptable", {"reason": reason})
    hidden = proto.UndecryptableMessage(Info=info(), IsUnavailable=False, DecryptFailMode=2)
    assert translate(UNDECRYPTABLE, hidden.SerializePartialToString()) is None


def receipt(kind: int, **outside: Any) -> Any:
    found = proto.Receipt(MessageSource=source(**outside), MessageIDs=["A", "B", "A"], Timestamp=60, Type=kind)
    return translate(RECEIPT, found.SerializePartialToString())


@pytest.mark.parametrize(("kind", "word"), [(1, "delivered"), (9, "delivered"), (4, "read"), (6, "played")])
def test_receipts_of_a_chat_of_two_and_of_a_group(kind: int, word: str) -> None:
    at = datetime(1970, 1, 1, 0, 1, tzinfo=UTC)
    assert receipt(kind) == Receipt(("A", "B"), word, at, "15550100002@s.whatsapp.net")
    member = Person("15550100002", "777@lid")
    assert receipt(kind, group=True) == Receipt(("A", "B"), word, at, f"{GROUP}@g.us", member)


def test_what_the_owner_read_elsewhere_is_a_read_mark_and_other_receipts_are_nothing() -> None:
    read = receipt(5, from_me=True)
    assert isinstance(read, ReadOnPhone)
    assert (read.wa_ids, read.chat) == (("A", "B"), "15550100002@s.whatsapp.net")
    assert [receipt(kind) for kind in (2, 3, 8, 10, 11)] == [None] * 5


@pytest.mark.parametrize(("state", "media", "word"), [(1, 1, "composing"), (1, 2, "recording"), (2, 1, "paused")])
def test_typing(state: int, media: int, word: str) -> None:
    raw = proto.ChatPresence(MessageSource=source(), State=state, Media=media).SerializePartialToString()
    found = translate(TYPING, raw)
    assert isinstance(found, Typing)
    assert (found.chat, found.state, found.sender.lid) == ("15550100002@s.whatsapp.net", word, "777@lid")


def test_the_raw_protobuf_has_no_keys() -> None:
    fields = {"imageMessage": FILE, "messageContextInfo": {"messageSecret": SECRET}}
    nested = built({"ephemeralMessage": {"message": fields}}).SerializeToString()
    found = raw_json(nested)
    assert found is not None
    image = found["ephemeralMessage"]["message"]["imageMessage"]
    assert image["fileSHA256"] == base64.b64encode(FILE["fileSHA256"]).decode()
    assert not SECRETS & {*image, *found["ephemeralMessage"]["message"].get("messageContextInfo", {})}
    assert raw_json(b"\xff") is None


def call(kind: str, *, attrs: dict[str, Any] | None = None, nodes: list[str] | None = None, **fields: Any) -> bytes:
    """An event of a call as the library reports it."""
    meta = proto.BasicCallMeta(
        **{"from": jid(CARLA[1], "lid")},
        timestamp=int(NOON.timestamp()),
        callCreator=jid(CARLA[1], "lid"),
        callCreatorAlt=jid(CARLA[0]),
        callID="C1",
    )
    listed = [proto.NodeAttrs(name=name, **value) for name, value in (attrs or {}).items()]
    data = proto.Node(Tag="offer", Attrs=listed, Nodes=[proto.Node(Tag=tag) for tag in nodes or []])
    raw: bytes = getattr(proto, kind)(basicCallMeta=meta, data=data, **fields).SerializePartialToString()
    return raw


def test_a_call_comes_with_its_caller_by_phone_and_lid() -> None:
    offered = translate(CALL_OFFER, call("CallOffer", nodes=["audio", "net"]))
    assert offered == IncomingCall("C1", Person(CARLA[0], f"{CARLA[1]}@lid"), f"{CARLA[1]}@lid", NOON)
    video = translate(CALL_OFFER, call("CallOffer", nodes=["audio", "video"]))
    assert isinstance(video, IncomingCall)
    assert video.video
    assert translate(CALL_OFFER, b"") is None


@pytest.mark.parametrize(
    "attrs", [{"group-jid": {"jid": jid(GROUP, "g.us")}}, {"group-jid": {"text": f"{GROUP}@g.us"}}]
)
def test_a_call_of_a_group_names_it(attrs: dict[str, Any]) -> None:
    noticed = translate(CALL_NOTICE, call("CallOfferNotice", attrs=attrs, media="video", type="group"))
    assert isinstance(noticed, IncomingCall)
    assert (noticed.group, noticed.group_jid, noticed.video) == (True, f"{GROUP}@g.us", True)


@pytest.mark.parametrize(
    ("reason", "ours"),
    [("", "hung_up"), ("timeout", "missed"), ("accepted_elsewhere", "answered_elsewhere"), ("new", "hung_up")],
)
def test_a_call_ends_for_a_reason(reason: str, ours: str) -> None:
    assert translate(CALL_END, call("CallTerminate", reason=reason)) == CallOver("C1", ours, NOON)


@pytest.mark.parametrize(
    ("unavailable", "last_seen", "shown"),
    [(False, -62135596800, None), (True, -62135596800, None), (True, int(NOON.timestamp()), NOON)],
)
def test_the_presence_of_a_watched_person(unavailable: bool, last_seen: int, shown: datetime | None) -> None:
    raw = proto.Presence(From=jid(CARLA[1], "lid"), Unavailable=unavailable, LastSeen=last_seen).SerializeToString()
    found = translate(PRESENCE, raw)
    assert found == ContactPresence(Person(None, "777@lid"), not unavailable, shown)


def test_the_presence_of_what_is_no_person_means_nothing() -> None:
    raw = proto.Presence(From=jid(GROUP, "g.us"), Unavailable=False, LastSeen=0).SerializeToString()
    assert translate(PRESENCE, raw) is None
