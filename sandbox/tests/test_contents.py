"""Contents of every type without a client: what they become, and what odd ones are refused."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.contents import shapes
from sandbox.control import dispatch
from sandbox.errors import ControlError

from .calling import ALICE, BOB, Caller
from .harness import unhurried

GOOD: dict[str, Any] = {
    "text": {"body": "x", "link_preview": {"url": "https://a.b", "title": "A"}},
    **{kind: {"data": "AAAA"} for kind in shapes.FILES},
    "album": {"items": [{"type": "image", "data": "AAAA"}]},
    "location": {"latitude": 1, "longitude": 2},
    "live_location": {"latitude": 1, "longitude": 2, "speed_mps": 1.5, "sequence": 3},
    "contacts": [{"name": "Erika", "vcard": "BEGIN:VCARD"}],
    "poll": {"question": "?", "options": ["a", "b"], "selectable": 2},
    "poll_vote": {"message_id": "POLL", "options": ["a"]},
    "reaction": {"message_id": "TEXT", "emoji": "x"},
    "edit": {"message_id": "TEXT", "body": "y"},
    "revoke": {"message_id": "TEXT"},
    "pin": {"message_id": "TEXT", "seconds": 5},
    "group_invite": {"group": "GROUP", "expires_at": 5},
    "event": {"name": "Party", "starts_at": 5, "ends_at": 6, "location": {"latitude": 1, "longitude": 2}},
    "event_response": {"message_id": "EVENT", "response": "going"},
    "unsupported": {"kind": "call"},
    "undecryptable": {},
}
SHOWN_AS = {"gif": "video", "round": "video", "voice": "audio", "unsupported": "call", "undecryptable": "text"}
odd = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.lists(st.text()), st.just({})
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something can be put into a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(p for key, child in inner for p in paths(child, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


async def named(call: Caller, kind: str) -> Any:
    """A good content of this type; what it names has been sent."""
    names = {"GROUP": (await call("create_group", phone=ALICE, subject="Team", members=[BOB]))["jid"]}
    for target in ("text", "poll", "event"):
        sent = await call("send_message", phone=ALICE, to=BOB, type=target, content=GOOD[target])
        names[target.upper()] = sent["id"]
    text = json.dumps(GOOD[kind])
    for name, id_ in names.items():
        text = text.replace(f'"{name}"', f'"{id_}"')
    return json.loads(text)


@pytest.mark.parametrize("kind", GOOD)
async def test_every_type_is_sent_and_shown(call: Caller, kind: str) -> None:
    content = await named(call, kind)
    id_ = (await call("send_message", phone=ALICE, to=BOB, type=kind, content=content))["id"]
    shown = await call("message", phone=ALICE if kind == "undecryptable" else BOB, id=id_)
    assert (shown["id"], shown["from"], shown["type"]) == (id_, ALICE, SHOWN_AS.get(kind, kind))
    assert shown["message"]


def test_every_type_has_a_content_here() -> None:
    assert GOOD.keys() == shapes.SHAPES.keys()


@pytest.mark.parametrize("kind", GOOD)
async def test_odd_contents_are_sent_or_refused(call: Caller, kind: str) -> None:
    content = await named(call, kind)

    @unhurried
    @given(path=st.sampled_from(paths(content)), new=odd)
    def attempt(path: tuple[Any, ...], new: Any) -> None:
        body = {"phone": ALICE, "to": BOB, "type": kind, "content": replaced(content, path, new)}
        with contextlib.suppress(ControlError):
            asyncio.run(dispatch(call.control, "send_message", json.dumps(body).encode()))

    await asyncio.to_thread(attempt)
    assert json.dumps(await call.received(BOB), allow_nan=False)


async def test_what_others_do_to_a_message_is_believed_from_those_who_may(call: Caller) -> None:
    carol = "491700000004"
    await call("create_phone", phone=carol, realm="one")
    group = (await call("create_group", phone=ALICE, subject="Team", members=[BOB, carol]))["jid"]
    hers = (await call("send_message", phone=BOB, to=group, type="text", content={"body": "original"}))["id"]

    async def at_alice() -> dict[str, Any]:
        return dict(await call("message", phone=ALICE, id=hers))

    edit = {"message_id": hers, "body": "forged"}
    await call("send_message", phone=carol, to=group, type="edit", content=edit)
    await call("send_message", phone=carol, to=group, type="revoke", content={"message_id": hers})
    assert ((await at_alice())["text"], "revoked" in await at_alice()) == ("original", False)
    await call("send_message", phone=BOB, to=group, type="edit", content=edit | {"body": "better"})
    assert (await at_alice())["text"] == "better"
    await call("send_message", phone=ALICE, to=group, type="revoke", content={"message_id": hers})
    assert (await call("message", phone=carol, id=hers))["revoked"] is True, "an admin may"


async def test_attributes_go_with_what_has_room_for_them(call: Caller) -> None:
    await call("send_text", phone=BOB, to=ALICE, text="question")
    (asked,) = await call.received(ALICE)
    everything = {"reply_to": asked["id"], "mentions": [BOB], "mention_all": True, "forwarded": True, "expires_in": 60}
    for kind in ("text", "image", "voice", "document", "location", "contacts", "poll", "event", "group_invite"):
        content = await named(call, kind)
        sent = await call("send_message", phone=ALICE, to=BOB, type=kind, content=content, **everything)
        shown = await call("message", phone=BOB, id=sent["id"])
        lid = (await call("phone", phone=BOB))["lid"]
        assert shown["context"]["message_id"] == shown["reply_to"] == asked["id"], kind
        assert (shown["context"]["from"], shown["mentions"], shown["mention_all"]) == (lid, [lid], True)
        assert (shown["forwarded"], shown["expires_in"], shown["type"]) == (True, 60, SHOWN_AS.get(kind, kind))
    for kind in ("image", "video", "voice"):
        sent = await call("send_message", phone=ALICE, to=BOB, type=kind, content=GOOD[kind], view_once=True)
        assert (await call("message", phone=BOB, id=sent["id"]))["view_once"] is True
    refused = {"phone": ALICE, "to": BOB, "type": "location", "content": GOOD["location"], "view_once": True}
    assert await call.refusal("send_message", **refused) == (400, "bad_arguments")
