"""What a network knows after its end, orderly or not."""

from __future__ import annotations

from pathlib import Path

from sandbox.iq.profiles import SET_ABOUT
from sandbox.media import MediaStore
from sandbox.model import Device
from sandbox.network import Network
from sandbox.protos import Message
from sandbox.state import State
from sandbox.wire import Jid, encode, node

from .calling import Caller
from .linking import device_of, linked, log_in, upload_prekey, waiting

ALICE, BOB = "491700000001", "491700000002"


async def reopened(folder: Path, media: MediaStore) -> tuple[State, Network]:
    state = State(folder / "state.sqlite3")
    network = Network(state, media)
    network.load()
    return state, network


async def test_a_link_offered_before_a_crash_is_good_after_it(tmp_path: Path, network: Network) -> None:
    """The client may have stored its credentials although its confirmation never arrived."""
    state, first = await reopened(tmp_path, network.media)
    session, codes = waiting(first)
    first.pairings.scan(first.create_account(ALICE, "Alice", "r"), codes[0])
    state.flush()
    state._db.close()  # no orderly end
    state, second = await reopened(tmp_path, network.media)
    account = second.accounts[ALICE]
    assert list(account.devices) == [0], "not a device before it is seen"
    assert log_in(second, account, session.noise_key).last("success")
    assert list(account.devices) == [0, 1]
    state.close()


async def test_everything_is_there_after_a_restart(tmp_path: Path, network: Network) -> None:
    state, first = await reopened(tmp_path, network.media)
    alice = await linked(first, ALICE, "r")
    bob = first.create_account(BOB, "Bob", "r")
    upload_prekey(alice)
    create = node("create", node("participant", jid=bob.lid), subject="Team")
    alice.query("w:g2", "set", create, to=Jid("", "g.us"))
    alice.query("w:mex", "get", node("query", '{"variables": {"input": {"text": "busy"}}}', query_id=SET_ABOUT))
    alice.query("w:qr", "set", node("qr", type="contact", action="get"))
    device_of(alice).account.faults.ack_error = 463
    first.save_account(device_of(alice).account)
    id_ = bob.phone.send(ALICE, Message(conversation="hello"))
    assert [m.id for m in device_of(alice).account.phone.inbox.received.values()] == [id_]
    device_of(alice).account.phone.mark_read(id_)
    alice.query("blocklist", "set", node("item", action="block", jid=bob.lid))
    assert device_of(alice).account.about == "busy"
    state.close()

    state, second = await reopened(tmp_path, network.media)
    for number, before in first.accounts.items():
        after = second.accounts[number]
        for name in before.__dataclass_fields__:
            assert getattr(after, name) == getattr(before, name), name
        assert after.devices.keys() == before.devices.keys()
        for n, device in before.devices.items():
            again = after.devices[n]
            assert {k: getattr(again, k) for k in Device.__dataclass_fields__} == {
                k: getattr(device, k) for k in Device.__dataclass_fields__
            }
            assert again.prekeys == device.prekeys
            assert [encode(w.stanza) for w in again.queue.values()] == [encode(w.stanza) for w in device.queue.values()]
        assert after.phone.inbox.received == before.phone.inbox.received
        assert after.phone.inbox.receipts == before.phone.inbox.receipts
        assert after.phone.cipher.store.sessions == before.phone.cipher.store.sessions
    (group,) = second.groups.values()
    assert encode(group.describe()) == encode(next(iter(first.groups.values())).describe())
    state.close()


async def test_a_message_to_a_phone_is_saved_with_all_that_follows_from_it(tmp_path: Path, network: Network) -> None:
    state, first = await reopened(tmp_path, network.media)
    alice = first.create_account(ALICE, "Alice", "")
    first.create_account(BOB, "Bob", "")
    for text in ("first", "second"):
        alice.phone.send(BOB, Message(conversation=text))
    state.flush()  # as before the answer of the control API
    state._db.close()
    state, second = await reopened(tmp_path, network.media)
    again = second.accounts[BOB].phone
    assert [(await again.showing.show(m, raw=False))["text"] for m in again.inbox.received.values()] == [
        "first",
        "second",
    ]
    assert len(second.accounts[ALICE].phone.inbox.receipts) == 2
    again.send(ALICE, Message(conversation="answer"))
    second.accounts[ALICE].phone.send(BOB, Message(conversation="third"))
    assert (len(second.accounts[ALICE].phone.inbox.received), len(again.inbox.received)) == (1, 3)
    assert again.failures == 0
    state.close()


async def test_what_phones_wrote_changed_and_posted_is_there_after_a_restart(tmp_path: Path, network: Network) -> None:
    state, first = await reopened(tmp_path, network.media)
    call = Caller(first)
    for number in (ALICE, BOB):
        await call("create_phone", phone=number)
    await call("save_contacts", phone=ALICE, contacts={BOB: "Bob"})
    await call("status_privacy", phone=ALICE, type="whitelist", phones=[BOB])
    poll = {"question": "Lunch?", "options": ["Pizza", "Salad"]}
    asked = (await call("send_message", phone=ALICE, to=BOB, type="poll", content=poll))["id"]
    await call("send_message", phone=ALICE, to="status@broadcast", type="text", content={"body": "I am"})
    vote = {"message_id": asked, "options": ["Pizza"]}
    await call("send_message", phone=BOB, to=ALICE, type="poll_vote", content=vote)
    news = (await call("create_newsletter", phone=ALICE, name="News"))["jid"]
    await call("follow_newsletter", phone=BOB, newsletter=news)
    await call("send_message", phone=ALICE, to=news, type="text", content={"body": "post"})
    before = [await call(m, phone=n) for m in ("messages", "sent") for n in (ALICE, BOB)]
    before.append(await call("newsletter", newsletter=news))
    state.flush()
    state._db.close()  # no orderly end

    state, second = await reopened(tmp_path, network.media)
    call = Caller(second)
    after = [await call(m, phone=n) for m in ("messages", "sent") for n in (ALICE, BOB)]
    after.append(await call("newsletter", newsletter=news))
    assert after == before
    assert after[2]["results"][0]["votes"] == {BOB: ["Pizza"]}
    alice = second.accounts[ALICE]
    assert (alice.contacts, alice.correspondents) == ({BOB: "Bob"}, {BOB})
    assert [reader.number for reader in second.status_readers(alice)] == [BOB]
    await call("send_message", phone=ALICE, to=news, type="text", content={"body": "another"})
    posts = (await call("newsletter", newsletter=news))["posts"]
    assert [post["server_id"] for post in posts] == [101, 102]
    state.close()


async def test_nothing_of_a_removed_device_is_kept(tmp_path: Path, network: Network) -> None:
    state, first = await reopened(tmp_path, network.media)
    alice = await linked(first, ALICE)
    upload_prekey(alice)
    first.remove_device(device_of(alice))
    state.close()
    state, second = await reopened(tmp_path, network.media)
    assert list(second.accounts[ALICE].devices) == [0]
    assert [list(state.load(kind, bytes)) for kind in ("prekey", "queue")] == [[], []]
    assert log_in(second, second.accounts[ALICE], alice.noise_key).last("failure").attrs["reason"] == 401
    state.close()
