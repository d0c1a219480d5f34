"""Faults on demand, what is damaged on its way, and large files: with real clients."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from .harness import ClientProcess, wait_until
from .phones import b64, new_phone, received

NONE = {
    "ack_error": 0,
    "ack_error_count": 0,
    "cold_error": 0,
    "cold_until": 0,
    "iq_silence": {},
    "upload_error": 0,
    "download_error": 0,
    "media_error_count": 0,
    "media_delay": 0,
    "media_rate": 0,
}


@pytest.fixture(scope="module")
def shop(clients: ClientProcess) -> str:
    """The number of a client of this module's own, and its name: each set-up links a new one."""
    number = new_phone(clients)
    clients.link(number, number, name="Shop")
    return number


@pytest.fixture(autouse=True)
def _no_faults_stay(clients: ClientProcess, shop: str) -> Iterator[None]:
    yield
    clients.sandbox("faults", phone=shop, **NONE)


def test_messages_to_strangers_are_refused_until_they_write(clients: ClientProcess, shop: str) -> None:
    stranger, friend = new_phone(clients), new_phone(clients)
    clients.sandbox("save_contacts", phone=shop, contacts={friend: "Friend"})
    clients.sandbox("faults", phone=shop, cold_error=463)
    clients("send", shop, to=friend, text="known")
    with pytest.raises(RuntimeError, match="error 463"):
        clients("send", shop, to=stranger, text="cold")
    id_ = clients.sandbox("send_text", phone=stranger, to=shop, text="hi")["id"]
    clients.expect(client=shop, event="message", id=id_)
    clients("send", shop, to=stranger, text="warm")
    wait_until(lambda: clients.sandbox.texts(stranger) == ["warm"])


def test_messages_to_strangers_are_let_through_after_a_time(clients: ClientProcess, shop: str) -> None:
    stranger = new_phone(clients)
    clients.sandbox("faults", phone=shop, cold_error=463, cold_until=time.time() + 3600)
    with pytest.raises(RuntimeError, match="error 463"):
        clients("send", shop, to=stranger, text="cold")
    clients.sandbox("faults", phone=shop, cold_until=time.time() - 1)
    clients("send", shop, to=stranger, text="warm")


def test_so_many_messages_are_refused(clients: ClientProcess, shop: str) -> None:
    phone = new_phone(clients)
    clients.sandbox("faults", phone=shop, ack_error=479, ack_error_count=2)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="error 479"):
            clients("send", shop, to=phone, text="refused")
    clients("send", shop, to=phone, text="accepted")
    assert clients.sandbox("faults", phone=shop)["ack_error"] == 0


@pytest.mark.parametrize("fault", ["cut_before_ack", "cut_before_delivery"])
def test_a_message_that_cuts_the_connection_arrives_once(clients: ClientProcess, shop: str, fault: str) -> None:
    phone, mark = new_phone(clients), len(clients.events)
    clients("send", shop, to=phone, text="before")
    accepted = clients.sandbox("state")["messages"]
    clients.sandbox("faults", phone=shop, **{fault: 1})
    clients("send", shop, to=phone, text="cut")  # the library sends it again by itself
    clients.expect(mark, client=shop, event="Disconnected")
    wait_until(lambda: clients.sandbox.texts(phone) == ["before", "cut"])
    assert clients.sandbox("state")["messages"] - accepted == 1


def test_a_query_without_an_answer_leaves_the_next_one_alone(clients: ClientProcess, shop: str) -> None:
    phone = new_phone(clients)
    clients.sandbox("faults", phone=shop, iq_silence={"usync": 1})
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(clients, "on_whatsapp", shop, phone=phone)
        wait_until(lambda: clients.sandbox("faults", phone=shop)["iq_silence"] == {"usync": 0})
        assert not asking.done()
        assert clients("on_whatsapp", shop, phone=phone) is True
        clients.sandbox("drop", phone=shop)  # which ends the waiting
        assert asking.result() is True, "the library asks again after reconnecting"


# --- media ----------------------------------------------------------------------------------

IMAGE = {"imageMessage": {"mimetype": "image/jpeg"}}


def upload(clients: ClientProcess, shop: str, to: str, data: bytes = b"JPEG") -> Any:
    return clients("send_any", shop, to=to, message=IMAGE, media={"imageMessage": b64(data)})


def test_so_many_uploads_fail(clients: ClientProcess, shop: str) -> None:
    phone = new_phone(clients)
    clients.sandbox("faults", phone=shop, upload_error=503, media_error_count=1)
    with pytest.raises(RuntimeError, match="503"):
        upload(clients, shop, phone)
    upload(clients, shop, phone)


@pytest.mark.parametrize("status", [404, 410])
def test_a_file_that_is_gone_cannot_be_downloaded(clients: ClientProcess, shop: str, status: int) -> None:
    phone = new_phone(clients)
    content = {"data": b64(b"JPEG")}
    clients.sandbox("faults", phone=phone, download_error=status)
    mark = len(clients.events)
    id_ = clients.sandbox("send_message", phone=phone, to=shop, type="image", content=content)["id"]
    assert str(status) in clients.expect(mark, client=shop, event="message", id=id_)["data"]
    clients.sandbox("faults", phone=phone, download_error=0)
    other = clients.sandbox("send_message", phone=phone, to=shop, type="image", content=content)["id"]
    assert clients.expect(client=shop, event="message", id=other)["data"] == b64(b"JPEG")
    clients.sandbox("media_gone", phone=phone, id=other, status=status)
    again = clients.sandbox("message", phone=phone, id=other)["message"]
    third = clients.sandbox("send", phone=phone, to=shop, message=again)["id"]
    assert str(status) in clients.expect(client=shop, event="message", id=third)["data"]


def test_a_slow_store_takes_its_time(clients: ClientProcess, shop: str) -> None:
    phone = new_phone(clients)
    clients.sandbox("faults", phone=shop, media_rate=400_000, media_delay=0.2)
    start = time.monotonic()
    sent = upload(clients, shop, phone, os.urandom(200_000))
    assert time.monotonic() - start >= 0.6
    assert received(clients, phone, sent["id"])["attachment"]["status"] == "ok"


def test_a_large_file_goes_both_ways_without_being_held_in_memory(
    clients: ClientProcess, shop: str, tmp_path: Path
) -> None:
    phone, size = new_phone(clients), 50 << 20
    before = _peak(clients)
    content = {"bytes": size, "seconds": 60}
    id_ = clients.sandbox("send_message", phone=phone, to=shop, type="video", content=content)["id"]
    sha256 = clients.sandbox("message", phone=phone, id=id_)["attachment"]["sha256"]
    assert clients.expect(client=shop, event="message", id=id_)["data"] == f"{size} bytes: {sha256}"
    up = clients("send_any", shop, to=phone, message={"videoMessage": {}}, media={"videoMessage": size})
    path = tmp_path / "video"
    sent = received(clients, phone, up["id"])["attachment"]
    found = clients.sandbox("attachment", phone=phone, id=up["id"], path=str(path))
    assert found == sent == {"status": "ok", "size": size, "sha256": found["sha256"]}
    with open(path, "rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == found["sha256"]
    assert _peak(clients) - before < 30 << 20


def _peak(clients: ClientProcess) -> int:
    """The most memory that the sandbox has had, in bytes."""
    status = Path(f"/proc/{clients.sandbox.ready['pid']}/status").read_text()
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM"))


# --- damage ---------------------------------------------------------------------------------


def test_a_phone_asks_for_what_it_cannot_read(clients: ClientProcess, shop: str) -> None:
    phone = new_phone(clients)
    clients("send", shop, to=phone, text="first")
    for number in range(3):  # each time a new retry
        clients.sandbox("faults", phone=shop, corrupt=1)
        id_ = clients("send", shop, to=phone, text=f"damaged {number}")
        clients.expect(client=shop, event="receipt", ids=[id_], type="RETRY")
        assert received(clients, phone, id_)["text"] == f"damaged {number}"
    clients("send", shop, to=phone, text="last")
    texts = ["first", "damaged 0", "damaged 1", "damaged 2", "last"]
    wait_until(lambda: clients.sandbox.texts(phone) == texts)


def test_a_phone_answers_a_client_that_cannot_read(clients: ClientProcess, shop: str) -> None:
    phone = new_phone(clients)
    clients.sandbox("send_text", phone=phone, to=shop, text="first")
    clients.sandbox("faults", phone=phone, corrupt=1)
    id_ = clients.sandbox("send_text", phone=phone, to=shop, text="damaged")["id"]
    clients.expect(client=shop, event="UndecryptableMessage")
    assert clients.expect(client=shop, event="message", id=id_)["text"] == "damaged"
    group = clients.sandbox("create_group", phone=phone, subject="Team", members=[shop])["jid"]
    clients.sandbox("faults", phone=phone, corrupt=1)
    id_ = clients.sandbox("send_text", phone=phone, to=group, text="damaged too")["id"]
    assert clients.expect(client=shop, event="message", id=id_)["text"] == "damaged too"
    last = clients.sandbox("send_text", phone=phone, to=group, text="fine")["id"]
    assert clients.expect(client=shop, event="message", id=last)["text"] == "fine"


def test_what_is_to_be_undecryptable_stays_so(clients: ClientProcess, shop: str) -> None:
    phone, mark = new_phone(clients), len(clients.events)
    id_ = clients.sandbox("send_message", phone=phone, to=shop, type="undecryptable")["id"]
    event = clients.expect(mark, client=shop, event="UndecryptableMessage")
    assert event["fields"]["Info"]["ID"] == id_
    wait_until(lambda: {"id": id_, "type": "retry"} in [_without_sender(r) for r in _receipts(clients, phone)])
    later = clients.sandbox("send_text", phone=phone, to=shop, text="later")["id"]
    assert clients.expect(client=shop, event="message", id=later)["text"] == "later"
    assert not clients.find(mark, client=shop, event="message", id=id_)


def _receipts(clients: ClientProcess, phone: str) -> list[dict[str, str]]:
    return list(clients.sandbox("receipts", phone=phone))


def _without_sender(receipt: dict[str, str]) -> dict[str, str]:
    return {"id": receipt["id"], "type": receipt["type"]}


# --- history --------------------------------------------------------------------------------


def test_given_conversations_come_as_history(clients: ClientProcess, shop: str) -> None:
    phone, mark = new_phone(clients), len(clients.events)
    poll = {"type": "poll", "content": {"question": "?", "options": ["a"]}, "id": "POLL1", "timestamp": 1_700_000_000}
    vote = {"type": "poll_vote", "content": {"message_id": "POLL1", "options": ["a"]}, "from_me": True}
    made = clients.sandbox("history", phone=shop, chats={phone: ["hello", poll, vote]}, type="initial")
    assert made == {"chats": 1, "messages": 3, "chunks": 1}
    data = clients.expect(mark, client=shop, event="HistorySync")["fields"]["Data"]
    (conversation,) = data["conversations"]
    messages = [m["message"] for m in conversation["messages"]]
    assert [m["key"].get("fromMe", False) for m in messages] == [True, False, False]
    assert (messages[1]["key"]["ID"], messages[1]["messageTimestamp"]) == ("POLL1", "1700000000")
    assert messages[2]["message"]["conversation"] == "hello"


def test_a_long_made_up_history_comes_in_chunks(clients: ClientProcess, shop: str) -> None:
    mark = len(clients.events)
    made = clients.sandbox("history", phone=shop, chats=40, messages=30, chunk=400, type="full")
    assert made == {"chats": 40, "messages": 1200, "chunks": 4}
    wait_until(lambda: len(clients.find(mark, client=shop, event="HistorySync")) == made["chunks"])
    chunks = [e["fields"]["Data"] for e in clients.find(mark, client=shop, event="HistorySync")]
    assert [c["chunkOrder"] for c in chunks] == [1, 2, 3, 4]
    assert chunks[-1]["progress"] == 100
    conversations = [c for chunk in chunks for c in chunk["conversations"]]
    assert len({c["ID"] for c in conversations}) == 40
    assert sum(len(c["messages"]) for c in conversations) == 1200
    kinds = {kind for c in conversations for m in c["messages"] for kind in m["message"]["message"]}
    assert {"imageMessage", "pollUpdateMessage", "reactionMessage", "protocolMessage", "eventMessage"} <= kinds
