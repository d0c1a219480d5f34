"""What is built for each type, field by field, in protobuf's own JSON."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from instances.whatsapp.building import Named, Outbound, build
from instances.whatsapp.building.vcards import vcard
from instances.whatsapp.files import UploadedFile
from instances.whatsapp.jids import STATUS, Jid, parse

TO, GROUP, SECRET = Jid("15550100002"), parse("120363000000000001@g.us"), b"s" * 32
FILE = UploadedFile(
    url="https://media.example/1", direct_path="/1", media_key=b"k" * 32, file_sha256=b"h" * 32,
    file_enc_sha256=b"e" * 32, file_length=1234, mime_type="image/jpeg", filename="a.jpg", seconds=3.4, width=640,
    height=480, thumbnail=b"t", waveform=bytes(64),
)  # fmt: skip
STORED = {
    "URL": "https://media.example/1",
    "directPath": "/1",
    "mimetype": "image/jpeg",
    "mediaKey": base64.b64encode(b"k" * 32).decode(),
    "fileSHA256": base64.b64encode(b"h" * 32).decode(),
    "fileEncSHA256": base64.b64encode(b"e" * 32).decode(),
    "fileLength": "1234",
}
LOOKS = {"width": 640, "height": 480, "JPEGThumbnail": base64.b64encode(b"t").decode()}
TARGET = Named("3EB0AA", TO, None, "text", {"body": "before"})
THEIRS = Named("3EB0BB", GROUP, parse("777@lid"), "text", {"body": "theirs"})


def built(type_: str, content: Any, **others: Any) -> dict[str, Any]:
    """Without the secret, which all have, and the moments of the clock."""
    message = build(Outbound(others.pop("to", TO), type_, content, SECRET, **others))
    assert message.messageContextInfo.messageSecret == SECRET
    message.messageContextInfo.ClearField("messageSecret")
    if not message.messageContextInfo.ListFields():
        message.ClearField("messageContextInfo")
    return dict(_without_clock(MessageToDict(message, preserving_proto_field_name=True)))


def _without_clock(value: Any) -> Any:
    clock = {"mediaKeyTimestamp", "senderTimestampMS", "timestampMS"}
    if isinstance(value, dict):
        return {name: _without_clock(inner) for name, inner in value.items() if name not in clock}
    return value


@pytest.mark.parametrize(
    ("type_", "content", "file", "expected"),
    [
        ("text", {"body": "Hello"}, None, {"extendedTextMessage": {"text": "Hello"}}),
        (
            "image",
            {"caption": "c"},
            FILE,
            {"imageMessage": {**STORED, **LOOKS, "caption": "c"}},
        ),
        ("video", {}, FILE, {"videoMessage": {**STORED, **LOOKS, "seconds": 3}}),
        ("video", {"gif": True}, FILE, {"videoMessage": {**STORED, **LOOKS, "seconds": 3, "gifPlayback": True}}),
        ("video", {"round": True}, FILE, {"ptvMessage": {**STORED, **LOOKS, "seconds": 3}}),
        (
            "audio",
            {"voice": True},
            FILE,
            {
                "audioMessage": {
                    **STORED,
                    "PTT": True,
                    "seconds": 3,
                    "waveform": base64.b64encode(bytes(64)).decode(),
                }
            },
        ),
        (
            "document",
            {"filename": "b.pdf"},
            FILE,
            {
                "documentMessage": {
                    **STORED,
                    "fileName": "b.pdf",
                    "title": "b.pdf",
                    "JPEGThumbnail": LOOKS["JPEGThumbnail"],
                }
            },
        ),
        ("sticker", {}, FILE, {"stickerMessage": {**STORED, "width": 640, "height": 480, "isAnimated": True}}),
        (
            "live_location",
            {"latitude": 1.5, "longitude": 2.5, "heading_degrees": 90, "sequence": 7},
            None,
            {
                "liveLocationMessage": {
                    "degreesLatitude": 1.5,
                    "degreesLongitude": 2.5,
                    "degreesClockwiseFromMagneticNorth": 90,
                    "sequenceNumber": "7",
                }
            },
        ),
        (
            "poll",
            {"question": "?", "options": ["a", "b"], "selectable": 0},
            None,
            {
                "pollCreationMessage": {
                    "name": "?",
                    "options": [{"optionName": "a"}, {"optionName": "b"}],
                    "selectableOptionsCount": 0,
                }
            },
        ),
        (
            "album",
            {"items": [{"type": "image"}, {"type": "video"}, {"type": "image"}]},
            None,
            {"albumMessage": {"expectedImageCount": 2, "expectedVideoCount": 1}},
        ),
    ],
)
def test_a_content_is_built(type_: str, content: Any, file: UploadedFile | None, expected: dict[str, Any]) -> None:
    assert built(type_, content, file=file) == expected


def test_a_document_with_a_caption_is_wrapped() -> None:
    wrapped = built("document", {"caption": "c"}, file=FILE)["documentWithCaptionMessage"]["message"]
    assert wrapped["documentMessage"]["caption"] == "c"
    assert wrapped["documentMessage"]["fileName"] == "a.jpg"


@pytest.mark.parametrize(
    ("type_", "wrapper", "field"),
    [
        ("image", "viewOnceMessageV2", "imageMessage"),
        ("video", "viewOnceMessageV2", "videoMessage"),
        ("audio", "viewOnceMessageV2Extension", "audioMessage"),
    ],
)
def test_what_can_be_seen_once_is_wrapped(type_: str, wrapper: str, field: str) -> None:
    message = built(type_, {}, file=FILE, attributes={"view_once": True})
    assert message[wrapper]["message"][field]["viewOnce"] is True


def test_an_answer_quotes_what_there_is_to_be_seen() -> None:
    quoted = Named("3EB0CC", GROUP, parse("777@lid"), "image", {"caption": "Look", "mime_type": "image/png"})
    context = built("text", {"body": "nice"}, to=GROUP, quoted=quoted)["extendedTextMessage"]["contextInfo"]
    assert context == {
        "stanzaID": "3EB0CC",
        "participant": "777@lid",
        "quotedMessage": {"imageMessage": {"caption": "Look", "mimetype": "image/png"}},
    }
    private = built("text", {"body": "nice"}, quoted=quoted)["extendedTextMessage"]["contextInfo"]
    assert private["remoteJID"] == str(GROUP)


def test_an_answer_to_oneself_names_oneself() -> None:
    own = Named("3EB0CC", TO, None, "text", {"body": "I"}, own=Jid("15550100001"))
    context = built("location", {"latitude": 1, "longitude": 2}, quoted=own)["locationMessage"]["contextInfo"]
    assert context["participant"] == "15550100001@s.whatsapp.net"


def test_what_goes_with_a_content() -> None:
    attributes = {"mentions": [{"id": "777@lid"}], "mention_all": True, "forwarded": True, "expires_in": 86_400}
    message = built("text", {"body": "@777"}, to=GROUP, attributes=attributes)
    assert message["extendedTextMessage"]["contextInfo"] == {
        "mentionedJID": ["777@lid"],
        "nonJIDMentions": 1,
        "isForwarded": True,
        "forwardingScore": 1,
        "expiration": 86_400,
    }


def test_an_item_names_its_album() -> None:
    album = Named("3EB0DD", TO, None, "album", {})
    association = built("image", {}, file=FILE, album=album)["messageContextInfo"]["messageAssociation"]
    key = {"remoteJID": str(TO), "fromMe": True, "ID": "3EB0DD"}
    assert association == {"associationType": "MEDIA_ALBUM", "parentMessageKey": key}


def test_a_status_is_coloured() -> None:
    part = built("text", {"body": "x", "background": "#102030"}, to=STATUS)["extendedTextMessage"]
    assert (part["backgroundArgb"], part["textArgb"], part["font"]) == (0xFF102030, 0xFFFFFFFF, "SYSTEM")


def test_a_link_preview_is_shown() -> None:
    preview = {"url": "https://a.example", "title": "A", "description": "B"}
    part = built("text", {"body": "https://a.example", "link_preview": preview}, thumbnail=b"j")["extendedTextMessage"]
    assert part.items() >= {"matchedText": "https://a.example", "title": "A", "description": "B"}.items()
    assert part["JPEGThumbnail"] == base64.b64encode(b"j").decode()


OWN_KEY = {"remoteJID": str(TO), "fromMe": True, "ID": "3EB0AA"}
THEIR_KEY = {"remoteJID": str(GROUP), "fromMe": False, "ID": "3EB0BB", "participant": "777@lid"}


def test_a_reaction_names_its_message() -> None:
    message = built("reaction", {"emoji": "\u2764"}, to=GROUP, target=THEIRS)
    assert message == {"reactionMessage": {"key": THEIR_KEY, "text": "\u2764"}}


def test_an_edit_is_wrapped() -> None:
    part = built("edit", {"text": {"body": "new"}}, target=TARGET)["editedMessage"]["message"]["protocolMessage"]
    assert part == {"key": OWN_KEY, "type": "MESSAGE_EDIT", "editedMessage": {"extendedTextMessage": {"text": "new"}}}


@pytest.mark.parametrize("file", [FILE, None])
def test_a_new_caption_goes_out_with_its_file_if_there_is_one(file: UploadedFile | None) -> None:
    target = Named("3EB0AA", TO, None, "image", {"caption": "old", "mime_type": "image/jpeg"}, file=file)
    part = built("edit", {"caption": "new"}, target=target)["editedMessage"]["message"]["protocolMessage"]
    image = part["editedMessage"]["imageMessage"]
    assert image == ({**STORED, **LOOKS} if file else {"mimetype": "image/jpeg"}) | {"caption": "new"}


@pytest.mark.parametrize(("target", "key"), [(TARGET, OWN_KEY), (THEIRS, THEIR_KEY)])
def test_a_deletion_is_ones_own_or_an_admins(target: Named, key: dict[str, Any]) -> None:
    assert built("revoke", {}, to=target.chat, target=target) == {"protocolMessage": {"key": key, "type": "REVOKE"}}


def test_a_pin_has_its_time() -> None:
    pinned = built("pin", {"seconds": 86_400}, target=TARGET)
    assert pinned["pinInChatMessage"] == {"key": OWN_KEY, "type": "PIN_FOR_ALL"}
    assert pinned["messageContextInfo"] == {"messageAddOnDurationInSecs": 86_400}
    assert built("pin", {"seconds": 0}, target=TARGET) == {
        "pinInChatMessage": {"key": OWN_KEY, "type": "UNPIN_FOR_ALL"}
    }


def test_a_card_cannot_be_broken_out_of() -> None:
    card = vcard(
        {
            "name": {"formatted_name": "A\nEND:VCARD\r\nTEL:1", "last_name": "x;y,z\\"},
            "phones": [{"phone": "1\n2", "type": 'W":;\nX'}],
        }
    )
    assert card.split("\n") == [
        "BEGIN:VCARD",
        "VERSION:3.0",
        "N:x\\;y\\,z\\\\;;;;",
        "FN:A\\nEND:VCARD\\nTEL:1",
        "TEL;type=WX:1\\n2",
        "END:VCARD",
    ]


def test_a_type_without_a_content_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="fax"):
        build(Outbound(TO, "fax", {}, SECRET))
