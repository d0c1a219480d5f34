"""Real neonize clients against the sandbox: the library encrypts, decrypts and decides what is valid."""

from __future__ import annotations

import base64
import itertools
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .harness import ClientProcess, Refused, SandboxProcess, wait_until

ALICE, BOB = "491700000001", "491700000002"
_numbers = itertools.count(491711000000)


def new_phone(sandbox: SandboxProcess, name: str = "Customer", realm: str = "") -> str:
    phone = str(next(_numbers))
    sandbox("create_phone", phone=phone, name=name, realm=realm)
    return phone


def test_a_clients_text_reaches_a_phone_and_its_receipts_come_back(clients: ClientProcess) -> None:
    phone = new_phone(clients.sandbox)
    id_ = clients("send", "alice", to=phone, text="hello phone")
    (message,) = wait_until(lambda: clients.sandbox("messages", phone=phone)["results"])
    assert message["id"] == id_
    assert (message["from"], message["sender_name"], message["from_me"]) == (ALICE, "alice", False)
    assert (message["type"], message["text"]) == ("text", "hello phone")
    clients.expect(client="alice", event="receipt", ids=[id_], type="DELIVERED")
    clients.sandbox("mark_read", phone=phone, id=id_)
    clients.sandbox("mark_read", phone=phone, id=id_)
    clients.expect(client="alice", event="receipt", ids=[id_], type="READ")
    later = clients("send", "alice", to=phone, text="later")
    clients.expect(client="alice", event="receipt", ids=[later], type="DELIVERED")
    assert len(clients.find(client="alice", event="receipt", ids=[id_], type="READ")) == 1


def test_a_phones_texts_reach_a_client_in_order(clients: ClientProcess) -> None:
    phone = new_phone(clients.sandbox)
    ids = [clients.sandbox("send_text", phone=phone, to=ALICE, text=f"number {i}")["id"] for i in range(20)]
    clients.expect(client="alice", event="message", id=ids[-1])
    got = [e for e in clients.find(client="alice", event="message") if e["id"] in ids]
    assert [(e["id"], e["text"]) for e in got] == [(id_, f"number {i}") for i, id_ in enumerate(ids)]
    assert {e["sender"] for e in got} == {f"{phone}@s.whatsapp.net"}
    wait_until(lambda: {r["id"] for r in clients.sandbox("receipts", phone=phone)} == set(ids), "receipts")


def test_a_conversation_goes_both_ways(clients: ClientProcess) -> None:
    """Every turn is a step of the double ratchet on both sides."""
    phone = new_phone(clients.sandbox)
    for turn in range(5):
        clients("send", "alice", to=phone, text=f"question {turn}")
        wait_until(lambda turn=turn: f"question {turn}" in clients.sandbox.texts(phone))
        answer = clients.sandbox("send_text", phone=phone, to=ALICE, text=f"answer {turn}")["id"]
        assert clients.expect(client="alice", event="message", id=answer)["text"] == f"answer {turn}"


def test_clients_write_to_each_other(clients: ClientProcess) -> None:
    there = clients("send", "alice", to=BOB, text="hello bob")
    assert clients.expect(client="bob", event="message", id=there)["text"] == "hello bob"
    back = clients("send", "bob", to=ALICE, text="hello alice")
    assert clients.expect(client="alice", event="message", id=back)["text"] == "hello alice"


def test_the_accounts_own_phone_gets_a_copy_of_what_its_client_sends(clients: ClientProcess) -> None:
    phone = new_phone(clients.sandbox)
    id_ = clients("send", "alice", to=phone, text="from my computer")

    def copies() -> list[dict[str, object]]:
        return [m for m in clients.sandbox("messages", phone=ALICE, limit=1000)["results"] if m["id"] == id_]

    (copy,) = wait_until(copies)
    lid = clients.sandbox("phone", phone=phone)["lid"]
    assert (copy["from_me"], copy["from"], copy["chat"], copy["text"]) == (True, ALICE, lid, "from my computer")


def test_a_client_gets_a_copy_of_what_its_phone_sends(clients: ClientProcess) -> None:
    phone = new_phone(clients.sandbox)
    id_ = clients.sandbox("send_text", phone=BOB, to=phone, text="typed by thumb")["id"]
    event = clients.expect(client="bob", event="message", id=id_)
    assert (event["text"], event["from_me"]) == ("typed by thumb", True)


def test_images_travel_encrypted_through_the_media_store(clients: ClientProcess) -> None:
    phone, image = new_phone(clients.sandbox), os.urandom(70_000)
    data = base64.b64encode(image).decode()
    id_ = clients.sandbox("send_image", phone=phone, to=ALICE, data=data, caption="look")["id"]
    event = clients.expect(client="alice", event="message", id=id_)
    assert (event["text"], event["data"]) == ("look", data)
    clients("send_image", "alice", to=phone, data=data, caption="back")
    (message,) = wait_until(lambda: clients.sandbox("messages", phone=phone)["results"])
    assert (message["type"], message["text"], message["mimetype"]) == ("image", "back", "image/jpeg")
    assert message["size"] == len(image)
    stored = [p.read_bytes() for p in (clients.sandbox.folder / "state" / "media").iterdir()]
    assert len(stored) >= 2
    assert not any(image[:32] in blob for blob in stored)


def test_a_group_of_clients_and_phones_hears_all_its_members(clients: ClientProcess) -> None:
    first, second = new_phone(clients.sandbox), new_phone(clients.sandbox)
    group = clients("create_group", "alice", name="Team", phones=[BOB, first, second])
    said = [("alice", "from alice"), ("bob", "from bob"), (first, "from first"), (second, "from second")]
    for who, text in said * 2:  # the second time everybody has the sender keys
        if who.isdigit():
            id_ = clients.sandbox("send_text", phone=who, to=group, text=text)["id"]
        else:
            id_ = clients("send", who, to=group, text=text)
        for client in {"alice", "bob"} - {who}:
            event = clients.expect(client=client, event="message", id=id_)
            assert (event["text"], event["chat"]) == (text, group)
    for phone in (first, second):
        expected = [text for who, text in said * 2 if who != phone]
        wait_until(lambda phone=phone, expected=expected: clients.sandbox.texts(phone) == expected)


def test_a_number_nobody_has_is_not_on_whatsapp(clients: ClientProcess) -> None:
    assert clients("on_whatsapp", "alice", phone=BOB) is True
    assert clients("on_whatsapp", "alice", phone="491799999999") is False
    with pytest.raises(RuntimeError, match="no LID found"):
        clients("send", "alice", to="491799999999", text="anybody?")


def test_realms_do_not_see_each_other(clients: ClientProcess) -> None:
    stranger = new_phone(clients.sandbox, realm="elsewhere")
    assert clients("on_whatsapp", "alice", phone=stranger) is False
    with pytest.raises(RuntimeError, match="no LID found"):
        clients("send", "alice", to=stranger, text="psst")
    with pytest.raises(Refused, match="not_on_whatsapp"):
        clients.sandbox("send_text", phone=stranger, to=ALICE, text="psst")
    clients.link("carol", str(next(_numbers)), realm="elsewhere")
    assert clients("on_whatsapp", "carol", phone=stranger) is True
    assert clients("on_whatsapp", "carol", phone=ALICE) is False
    with pytest.raises(RuntimeError, match="no LID found"):
        clients("send", "carol", to=ALICE, text="psst")
    id_ = clients("send", "carol", to=stranger, text="neighbour")
    wait_until(lambda: clients.sandbox("messages", phone=stranger)["results"])
    assert not any(m["id"] == id_ for m in clients.sandbox("messages", phone=ALICE, limit=1000)["results"])


def test_a_client_is_linked_by_a_code_and_a_wrong_code_is_refused(clients: ClientProcess) -> None:
    phone = new_phone(clients.sandbox)
    with pytest.raises(Refused, match="no_pairing"):
        clients.sandbox("enter_code", phone=phone, code="ABCD-EFGH")
    clients.start("dora")
    clients.expect(client="dora", event="qr")
    code = clients("pair_code", "dora", phone=phone)
    with pytest.raises(Refused, match="wrong_code"):
        clients.sandbox("enter_code", phone=phone, code="AAAA-AAAA")
    clients.sandbox("enter_code", phone=phone, code=code)
    clients.expect(client="dora", event="Connected")
    wait_until(lambda: clients.sandbox("phone", phone=phone)["devices"] == [{"device": 1, "connected": True}])


def test_a_used_qr_code_cannot_be_used_again(clients: ClientProcess) -> None:
    clients.link("erin", new_phone(clients.sandbox))
    code = clients.expect(client="erin", event="qr")["code"]
    with pytest.raises(Refused, match="qr_expired"):
        clients.sandbox("scan", phone=ALICE, qr=code)


def test_a_message_refused_by_the_server_fails_at_the_sender(clients: ClientProcess) -> None:
    phone = new_phone(clients.sandbox)
    clients.sandbox("faults", phone=ALICE, ack_error=463)
    try:
        with pytest.raises(RuntimeError, match="server returned error 463"):
            clients("send", "alice", to=phone, text="refused")
    finally:
        clients.sandbox("faults", phone=ALICE, ack_error=0)
    clients("send", "alice", to=phone, text="accepted")
    wait_until(lambda: clients.sandbox.texts(phone) == ["accepted"])


def test_faults_of_the_stream_are_what_the_library_takes_them_for(clients: ClientProcess) -> None:
    phone = new_phone(clients.sandbox)
    clients.link("frank", phone)
    mark = len(clients.events)
    assert clients.sandbox("drop", phone=phone) == 1
    clients.expect(mark, client="frank", event="Disconnected")
    clients.expect(mark, client="frank", event="Connected")
    clients.sandbox("faults", phone=phone, login_failure={"reason": 402, "code": 101, "expire": 3600})
    cut, now = clients.sandbox("connections", phone=phone)[-2:]
    assert (cut["replaced"], now["until"]) == (False, None)
    assert cut["since"] < cut["until"] < now["since"]
    clients.sandbox("drop", phone=phone)
    clients.expect(mark, client="frank", event="TemporaryBan")
    clients.sandbox("faults", phone=phone, login_failure=None)


@pytest.mark.parametrize("ending", ["replaced", "logged_out"])
def test_a_session_ended_by_the_phone_is_noticed(clients: ClientProcess, ending: str) -> None:
    phone = new_phone(clients.sandbox)
    clients.link(f"grace-{ending}", phone)
    if ending == "replaced":
        clients.sandbox("stream_error", phone=phone, conflict="replaced")
        clients.expect(client=f"grace-{ending}", event="StreamReplaced")
    else:
        clients.sandbox("logout", phone=phone)
        clients.expect(client=f"grace-{ending}", event="LoggedOut")
        assert clients.sandbox("phone", phone=phone)["devices"] == []


def test_a_message_sent_again_after_a_lost_ack_arrives_once(clients: ClientProcess) -> None:
    phone, customer = new_phone(clients.sandbox), new_phone(clients.sandbox)
    clients.link("heidi", phone)
    clients("send", "heidi", to=customer, text="first")
    clients.sandbox("faults", phone=phone, drop_acks=1)
    accepted = clients.sandbox("state")["messages"]
    ids: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(clients, "send", "heidi", to=customer, text="no ack")
        wait_until(lambda: "no ack" in clients.sandbox.texts(customer))
        clients.sandbox("drop", phone=phone)
        ids.append(sending.result())
    clients("send", "heidi", to=customer, text="last")
    wait_until(lambda: clients.sandbox.texts(customer) == ["first", "no ack", "last"])
    assert clients.sandbox("state")["messages"] - accepted == 2, "the copy was taken for a new message"


@pytest.mark.parametrize("whose", ["the number's", "everybody's"])
def test_a_distant_network_takes_its_time(clients: ClientProcess, whose: str) -> None:
    phone, customer = new_phone(clients.sandbox), new_phone(clients.sandbox)
    name = f"ivan-{whose[:3]}"
    clients.link(name, phone)
    clients.sandbox("faults", phone=phone if whose == "the number's" else "", latency=0.3)
    try:
        started = time.monotonic()
        clients("send", name, to=customer, text="far away")
        assert time.monotonic() - started >= 0.3
    finally:
        clients.sandbox("faults", latency=0)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_links_and_conversations_survive_the_end_of_the_sandbox(
    sandbox: SandboxProcess, tmp_path: Path, end: str
) -> None:
    clients = ClientProcess(sandbox, tmp_path)
    try:
        clients.link("ivan", "491700000001")
        sandbox("create_phone", phone="491700000002")
        clients("send", "ivan", to="491700000002", text="before")
        wait_until(lambda: sandbox.texts("491700000002") == ["before"])
        mark = len(clients.events)
        ids = [sandbox("send_text", phone="491700000002", to="491700000001", text=f"m{i}")["id"] for i in range(30)]
        getattr(sandbox, end)()  # while the client still confirms
        clients.expect(mark, client="ivan", event="Disconnected")
        sandbox.start()
        clients.expect(mark, client="ivan", event="Connected")
        clients.expect(client="ivan", event="message", id=ids[-1])
        assert [e["id"] for e in clients.find(client="ivan", event="message")] == ids
        clients("send", "ivan", to="491700000002", text="after")
        wait_until(lambda: sandbox.texts("491700000002") == ["before", "after"])
        answer = sandbox("send_text", phone="491700000002", to="491700000001", text="still secret")["id"]
        assert clients.expect(client="ivan", event="message", id=answer)["text"] == "still secret"
        assert not clients.find(client="ivan", event="UndecryptableMessage")
    finally:
        clients.close()
