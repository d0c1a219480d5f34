"""The control API as methods; test_process.py has it on its socket."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from sandbox.control import MAX_INLINE, MAX_TEXT, dispatch
from sandbox.errors import ControlError
from sandbox.model import MAX_INBOX
from sandbox.phone import Received

from .calling import ALICE, BOB, CHARLIE, Caller


async def test_a_phone_is_made_once_and_belongs_to_its_realm(call: Caller) -> None:
    alice = await call("phone", phone=f"+{ALICE}")
    assert alice == {
        "phone": ALICE,
        "name": "Alice",
        "jid": f"{ALICE}@s.whatsapp.net",
        "lid": alice["lid"],
        "realm": "one",
        "devices": [],
    }
    again = await call("create_phone", phone=ALICE, name="Alicia", realm="one")
    assert again == {k: v for k, v in alice.items() if k != "devices"} | {"name": "Alicia"}
    assert (await call("create_phone", phone=ALICE, realm="one"))["name"] == "Alicia"
    assert await call.refusal("create_phone", phone=ALICE, realm="two") == (409, "phone_taken")
    assert [p["phone"] for p in await call("phones", realm="one")] == [ALICE, BOB]
    assert [p["phone"] for p in await call("phones", realm="two")] == [CHARLIE]
    assert await call("phones") == []


async def test_phones_write_to_each_other(call: Caller) -> None:
    sent = await call("send_text", phone=ALICE, to=BOB, text="hello")
    (message,) = await call.received(BOB)
    lid = (await call("phone", phone=ALICE))["lid"]
    assert message == {
        "id": sent["id"],
        "seq": 1,
        "from": ALICE,
        "chat": lid,
        "sender": lid,
        "sender_name": "Alice",
        "from_me": False,
        "read": False,
        "type": "text",
        "text": "hello",
        "timestamp": message["timestamp"],
    }
    assert [r["type"] for r in await call("receipts", phone=ALICE)] == ["delivery"]


async def test_an_image_has_a_type_and_a_size(call: Caller) -> None:
    data = base64.b64encode(b"JPEG").decode()
    await call("send_image", phone=ALICE, to=BOB, data=data, caption="look", mimetype="image/png")
    (message,) = await call.received(BOB)
    assert [message[k] for k in ("type", "text", "mimetype", "size")] == ["image", "look", "image/png", 4]


async def test_messages_come_in_pages(call: Caller) -> None:
    for number in range(5):
        await call("send_text", phone=ALICE, to=BOB, text=str(number))
    seen, after = [], 0
    while after is not None:
        page = await call("messages", phone=BOB, after=after, limit=2)
        seen.append([m["text"] for m in page["results"]])
        after = page["next"]
    assert seen == [["0", "1"], ["2", "3"], ["4"]]
    assert await call("messages", phone=BOB, after=10**9) == {"results": [], "next": None}


async def test_a_message_is_marked_read_once(call: Caller) -> None:
    id_ = (await call("send_text", phone=ALICE, to=BOB, text="hello"))["id"]
    for _ in range(2):
        await call("mark_read", phone=BOB, id=id_)
    assert [r["type"] for r in await call("receipts", phone=ALICE)] == ["delivery", "read"]
    assert (await call("messages", phone=BOB))["results"][0]["read"] is True


async def test_an_inbox_keeps_the_newest(call: Caller) -> None:
    phone, sender = call.network.accounts[BOB].phone, call.network.accounts[ALICE].lid
    for seq in range(1, MAX_INBOX):
        phone.inbox.append("inbox", Received(seq, str(seq), sender, sender, False, 0, b""))
    phone.inbox._seq = MAX_INBOX - 1
    for text in ("last but one", "last"):
        await call("send_text", phone=ALICE, to=BOB, text=text)
    assert (len(phone.inbox.received), min(phone.inbox.received), max(phone.inbox.received)) == (
        MAX_INBOX,
        2,
        MAX_INBOX + 1,
    )
    page = await call("messages", phone=BOB, after=MAX_INBOX - 1)
    assert [m["text"] for m in page["results"]] == ["last but one", "last"]
    call.network.state.flush()
    assert len(list(call.network.state.load("inbox", Received))) == MAX_INBOX


@pytest.mark.parametrize(
    ("method", "arguments", "expected"),
    [
        ("nothing", {}, (404, "method_not_found")),
        ("_account", {"phone": ALICE}, (404, "method_not_found")),
        ("__init__", {"network": 1}, (404, "method_not_found")),
        ("phone", {}, (400, "bad_arguments")),
        ("phone", {"phone": 491700000001}, (400, "bad_arguments")),
        ("phone", {"phone": ALICE, "more": 1}, (400, "bad_arguments")),
        ("phone", {"phone": "491700000099"}, (404, "phone_not_found")),
        ("create_phone", {"phone": "0491700"}, (400, "bad_arguments")),
        ("create_phone", {"phone": "1234"}, (400, "bad_arguments")),
        ("create_phone", {"phone": "1" * 16}, (400, "bad_arguments")),
        ("create_phone", {"phone": "49\u0661\u0667\u0660\u0660"}, (400, "bad_arguments")),
        ("scan", {"phone": ALICE, "qr": "nonsense"}, (400, "qr_invalid")),
        ("scan", {"phone": ALICE, "qr": "ref,AA==,AA==,AA==,6"}, (409, "qr_expired")),
        ("scan", {"phone": "491700000099", "qr": "x"}, (404, "phone_not_found")),
        ("enter_code", {"phone": ALICE, "code": "ABCD-EFGH"}, (409, "no_pairing")),
        ("send_text", {"phone": ALICE, "to": "491700000099", "text": "x"}, (404, "not_on_whatsapp")),
        ("send_text", {"phone": ALICE, "to": CHARLIE, "text": "x"}, (404, "not_on_whatsapp")),
        ("send_text", {"phone": ALICE, "to": "120363000000000000@g.us", "text": "x"}, (404, "not_on_whatsapp")),
        ("send_text", {"phone": ALICE, "to": "@", "text": "x"}, (404, "not_on_whatsapp")),
        ("send_text", {"phone": ALICE, "to": BOB, "text": ""}, (400, "bad_arguments")),
        ("send_text", {"phone": ALICE, "to": BOB, "text": "x" * (MAX_TEXT + 1)}, (400, "bad_arguments")),
        ("send_image", {"phone": ALICE, "to": BOB, "data": "ä"}, (400, "bad_arguments")),
        ("send_image", {"phone": ALICE, "to": BOB, "data": ""}, (400, "bad_arguments")),
        ("send_image", {"phone": ALICE, "to": CHARLIE, "data": "AAAA"}, (404, "not_on_whatsapp")),
        ("messages", {"phone": ALICE, "limit": 0}, (400, "bad_arguments")),
        ("mark_read", {"phone": ALICE, "id": "nope"}, (404, "message_not_found")),
        ("typing", {"phone": ALICE, "to": BOB, "state": "dancing"}, (400, "bad_arguments")),
        ("call", {"phone": ALICE, "to": CHARLIE}, (404, "not_on_whatsapp")),
        ("history", {"phone": ALICE, "chats": {"x": 1}}, (400, "bad_arguments")),
        ("logout", {"phone": ALICE, "device": 7}, (404, "device_not_found")),
        ("logout", {"phone": ALICE, "device": 0}, (404, "device_not_found")),
        ("stream_error", {"phone": ALICE, "conflict": "war"}, (400, "bad_arguments")),
        ("faults", {"phone": ALICE, "nonsense": 1}, (400, "bad_arguments")),
        ("faults", {"phone": ALICE, "mute": "yes"}, (400, "bad_arguments")),
        ("faults", {"phone": 5}, (400, "bad_arguments")),
        ("media_error", {"status": 200}, (400, "bad_arguments")),
    ],
)
async def test_what_cannot_be_done_is_refused(
    call: Caller, method: str, arguments: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert await call.refusal(method, **arguments) == expected


async def test_an_image_has_an_upper_size(call: Caller) -> None:
    data = base64.b64encode(bytes(MAX_INLINE + 1)).decode()
    assert await call.refusal("send_image", phone=ALICE, to=BOB, data=data) == (400, "bad_arguments")


@pytest.mark.parametrize("body", [b"[]", b"{", b"5", b'"phone"', b"\xff"])
async def test_a_body_that_is_no_object_is_refused(call: Caller, body: bytes) -> None:
    with pytest.raises(ControlError) as caught:
        await dispatch(call.control, "phone", body)
    assert caught.value.code == "bad_arguments"


async def test_faults_are_shown_and_kept(call: Caller) -> None:
    faults = await call("faults", phone=ALICE, latency=0.5, iq_errors={"usync": 429})
    assert (faults["latency"], faults["iq_errors"], faults["mute"]) == (0.5, {"usync": 429}, False)
    assert (await call("faults", phone=ALICE, latency=0))["iq_errors"] == {"usync": 429}
    assert (await call("faults"))["iq_errors"] == {}, "the network has its own"


async def test_everything_about_the_network_is_shown(call: Caller) -> None:
    state = await call("state")
    assert state["accounts"].keys() == {ALICE, BOB, CHARLIE}
    assert state["accounts"][ALICE]["0"] == {
        "connected": False,
        "active": True,
        "online": False,
        "name": "",
        "queued": 0,
        "prekeys": 0,
    }
    await call("presence", phone=ALICE, online=True)
    assert (await call("state"))["accounts"][ALICE]["0"]["online"] is True


async def test_a_call_rings_at_people_and_groups_until_it_is_hung_up(call: Caller) -> None:
    group = (await call("create_group", phone=ALICE, subject="Team", members=[BOB]))["jid"]
    ids = [(await call("call", phone=ALICE, to=to, video=True))["id"] for to in (BOB, group)]
    assert [(c["id"], c["outgoing"], c["video"]) for c in await call("calls", phone=BOB)] == [
        (id_, False, True) for id_ in ids
    ]
    await call("hang_up", phone=ALICE, id=ids[0], reason="timeout")
    for phone in (ALICE, BOB):
        assert [c["status"] for c in await call("calls", phone=phone)] == ["ended", "ringing"]
    assert await call.refusal("hang_up", phone=BOB, id=ids[1]) == (404, "call_not_found")
