"""Rules between fields, and which types go to whom."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.api.problems import Problem
from media.references import MediaRef
from messaging.api.payload import parse
from messaging.kinds.examples import EXAMPLES
from messaging.kinds.sends import NOT_OFFERED, TYPES

GROUP, CHANNEL, LINK = "120363000000000001@g.us", "120363000000000002@newsletter", "https://example.com/a"
PIXEL = "iVBORw0KGgo="


def sent(type_: str, /, **changes: Any) -> Any:
    return parse(orjson.dumps(EXAMPLES[type_] | changes))


def refused(type_: str, /, **changes: Any) -> list[tuple[str, str]]:
    with pytest.raises(Problem) as raised:
        sent(type_, **changes)
    return [(error.pointer, error.code) for error in raised.value.errors] or [("", raised.value.code)]


@pytest.mark.parametrize(
    ("type_", "changes", "errors"),
    [
        ("image", {"image": {}}, [("/image", "one_source")]),
        ("image", {"image": {"link": LINK, "data": PIXEL}}, [("/image", "one_source")]),
        ("image", {"image": {"data": "a b="}}, [("/image/data", "invalid_base64")]),
        ("image", {"image": {"data": "abc"}}, [("/image/data", "invalid_base64")]),
        ("image", {"image": {"link": "file:///etc/passwd"}}, [("/image/link", "invalid")]),
        ("image", {"image": {"link": LINK, "voice": True}}, [("/image/voice", "unknown_field")]),
        ("image", {"image": {"link": LINK, "caption": "x" * 1025}}, [("/image/caption", "invalid")]),
        ("video", {"video": {"link": LINK, "gif": True, "round": True}}, [("/video/round", "one_of_two")]),
        ("audio", {"audio": {"link": LINK}, "view_once": True}, [("/view_once", "only_for_voice")]),
        ("document", {"view_once": True}, [("/view_once", "unknown_field")]),
        ("reaction", {"context": {"message_id": "x"}}, [("/context", "unknown_field")]),
        ("location", {"location": {"latitude": 91, "longitude": 0}}, [("/location/latitude", "invalid")]),
        ("contacts", {"contacts": []}, [("/contacts", "invalid")]),
        ("contacts", {"contacts": [{"name": {}}]}, [("/contacts/0/name/formatted_name", "required")]),
        ("poll", {"poll": {"question": "?", "options": ["a"]}}, [("/poll/options", "invalid")]),
        ("poll", {"poll": {"question": "?", "options": ["a", "a"]}}, [("/poll/options/1", "duplicate")]),
        ("poll", {"poll": {"question": "?", "options": ["a", "b"], "selectable": 3}}, [("/poll/selectable", "range")]),
        ("poll", {"poll": {"question": "?", "options": ["a", "b" * 101]}}, [("/poll/options/1", "invalid")]),
        ("edit", {"edit": {"message_id": "x"}}, [("/edit", "one_of_two")]),
        ("edit", {"edit": {"message_id": "x", "text": {"body": "a"}, "caption": "b"}}, [("/edit", "one_of_two")]),
        ("pin", {"pin": {"message_id": "x", "seconds": 5}}, [("/pin/seconds", "invalid")]),
        ("album", {"album": {"items": [{"type": "image", "link": LINK}]}}, [("/album/items", "invalid")]),
        ("album", {"album": {"items": [{"type": "image"}, {"type": "audio"}]}}, [("/album/items/1/type", "invalid")]),
        (
            "album",
            {"album": {"items": [{"type": "image", "link": LINK}, {"type": "video"}]}},
            [("/album/items/1", "one_source")],
        ),
        (
            "event",
            {"event": {"name": "x", "starts_at": "2026-01-02T00:00:00Z", "ends_at": "2026-01-01T00:00:00Z"}},
            [("/event/ends_at", "range")],
        ),
        ("event", {"event": {"name": "x", "starts_at": "0001-01-01T00:00:00+14:00"}}, [("/event/starts_at", "range")]),
        ("event", {"event": {"name": "x", "starts_at": "9999-12-31T23:59:59-14:00"}}, [("/event/starts_at", "range")]),
        (
            "group_invite",
            {"group_invite": EXAMPLES["group_invite"]["group_invite"] | {"expires_at": "0001-01-01T00:00:00+14:00"}},
            [("/group_invite/expires_at", "range")],
        ),
        ("text", {"mention_all": True}, [("/mention_all", "only_in_groups")]),
        ("text", {"mentions": ["15550100003", GROUP]}, [("/mentions/1", "invalid_recipient")]),
        ("text", {"mentions": ["15550100003999"]}, [("/mentions/0", "invalid_phone_number")]),
        ("text", {"audience": ["15550100003"]}, [("/audience", "only_in_status")]),
        ("text", {"text": {"body": "x", "background": "#000000"}}, [("/text/background", "only_in_status")]),
        (
            "text",
            {"to": CHANNEL, "expires_in": 86_400, "mentions": []},
            [("/expires_in", "not_for_this_recipient"), ("/mentions", "not_for_this_recipient")],
        ),
        ("text", {"to": "status", "context": {"message_id": "x"}}, [("/context", "not_for_this_recipient")]),
        ("text", {"to": "12345@broadcast"}, [("", "unsupported_by_engine")]),
        ("text", {"client_ref": "\x00", "text": {"body": "\x00"}}, [
            ("/text/body", "null_characters_not_allowed"), ("/client_ref", "null_characters_not_allowed"),
        ]),
    ],
)  # fmt: skip
def test_what_breaks_a_rule_is_refused(type_: str, changes: dict[str, Any], errors: list[tuple[str, str]]) -> None:
    assert sorted(refused(type_, **changes)) == sorted(errors)


@pytest.mark.parametrize("type_", sorted(set(TYPES) - {"text", "edit", "revoke"}))
def test_most_types_do_not_go_to_channels(type_: str) -> None:
    of_engine = type_ in {"image", "video", "audio", "document", "sticker", "album"}
    expected = ("", "unsupported_by_engine") if of_engine else ("/to", "not_for_this_recipient")
    assert refused(type_, to=CHANNEL) == [expected]


@pytest.mark.parametrize("type_", sorted(set(TYPES) - {"text", "image", "video", "audio", "revoke"}))
def test_most_types_are_no_status(type_: str) -> None:
    assert refused(type_, to="status") == [("/to", "not_for_this_recipient")]


@pytest.mark.parametrize("type_", sorted(NOT_OFFERED))
def test_what_only_business_platforms_can_send_is_known_and_not_offered(type_: str) -> None:
    assert refused("text", type=type_) == [("", "unsupported_by_engine")]


def test_a_file_is_named_beside_its_words() -> None:
    outgoing = sent("audio", audio={"data": PIXEL, "voice": True, "filename": "a.png"})
    assert outgoing.content == {"voice": True, "filename": "a.png"}
    assert outgoing.media == MediaRef("voice", data=PIXEL, filename="a.png")


def test_an_album_comes_with_its_items() -> None:
    outgoing = sent("album", expires_in=86_400)
    assert [(item.type, item.content, item.media.link) for item in outgoing.items] == [
        ("image", {"caption": "One"}, "https://example.com/one.jpg"),
        ("image", {}, "https://example.com/two.jpg"),
    ]
    assert all(item.attributes == {"expires_in": 86_400} for item in outgoing.items)


def test_people_are_named_as_in_every_payload() -> None:
    outgoing = sent("text", to=GROUP, mentions=["+1 (555) 010-0003", "777@lid"], mention_all=True)
    assert outgoing.attributes == {
        "mention_all": True,
        "mentions": [
            {"id": "15550100003@s.whatsapp.net", "phone": "15550100003", "lid": None, "name": None},
            {"id": "777@lid", "phone": None, "lid": "777@lid", "name": None},
        ],
    }


@given(st.sampled_from([2.0, 2, 1e0]))
def test_a_whole_number_may_be_written_with_a_point(number: float) -> None:
    poll = {"question": "?", "options": ["a", "b"], "selectable": number}
    assert sent("poll", poll=poll).content["selectable"] == int(number)
    assert refused("poll", poll=poll | {"selectable": 1.5}) == [("/poll/selectable", "invalid")]
