"""The network without sockets: linking, realms, delivery, what is restored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from sandbox.crypto import KeyPair
from sandbox.errors import ControlError, NotOnWhatsApp, PhoneTaken, QrExpired, QrInvalid
from sandbox.model import MAX_REMEMBERED
from sandbox.network import Network
from sandbox.protos import Message
from sandbox.state import State
from sandbox.wire import Jid, Node, node

from .harness import MemorySession
from .linking import answer, device_of, linked, log_in, waiting

ALICE, BOB, CHARLIE = "491700000001", "491700000002", "491700000003"


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def usync(session: MemorySession, jid: Jid) -> Node:
    """What the directory tells about a user."""
    query = node("query", node("devices", version=2), node("lid"))
    asked = node("usync", query, node("list", node("user", jid=jid)), sid="1", mode="query", context="background")
    user = session.query("usync", "get", asked).find("usync", "list", "user")
    assert user is not None
    return user


def message(to: Jid, id_: str = "M1", **attrs: Any) -> Node:
    share = node("to", node("enc", b"ciphertext", v=2, type="msg"), jid=to)
    return node("message", node("participants", share), id=id_, to=to.bare, type="text", **attrs)


def of(session: MemorySession, tag: str) -> list[Node]:
    return [s for s in session.sent if s.tag == tag]


# --- linking --------------------------------------------------------------------------------


async def test_a_reference_is_good_for_as_long_as_the_client_shows_it(state: State, network: Network) -> None:
    clock = Clock()
    network = Network(state, network.media, clock)
    account = network.create_account(ALICE, "Alice", "")
    for index, end in enumerate((60, 80, 100, 120, 140, 160)):
        clock.now = 1000
        _, codes = waiting(network)
        clock.now += end
        with pytest.raises(QrExpired):
            network.pairings.scan(account, codes[index])
        clock.now -= 0.01
        network.pairings.scan(account, codes[index])


async def test_a_code_is_used_once(network: Network) -> None:
    account = network.create_account(ALICE, "Alice", "")
    session, codes = waiting(network)
    network.pairings.scan(account, codes[0])
    for code in codes[:2]:
        with pytest.raises(QrExpired):
            network.pairings.scan(account, code)
    answer(session, "result")
    assert list(account.devices) == [0, 1]


async def test_the_code_of_a_client_that_left_has_expired(network: Network) -> None:
    account = network.create_account(ALICE, "Alice", "")
    session, codes = waiting(network)
    network.disconnected(session)
    with pytest.raises(QrExpired):
        network.pairings.scan(account, codes[0])


async def test_a_code_with_another_clients_keys_is_invalid(network: Network) -> None:
    account = network.create_account(ALICE, "Alice", "")
    (_, first), (_, second) = waiting(network), waiting(network)
    mixed = ",".join([first[0].split(",")[0], *second[0].split(",")[1:]])
    with pytest.raises(QrInvalid):
        network.pairings.scan(account, mixed)


async def test_a_client_that_refuses_the_link_is_not_a_device(network: Network) -> None:
    account = network.create_account(ALICE, "Alice", "")
    session, codes = waiting(network)
    network.pairings.scan(account, codes[0])
    answer(session, "error")
    assert (list(account.devices), account.unconfirmed) == ([0], {})
    refused = log_in(network, account, session.noise_key)
    assert refused.last("failure").attrs["reason"] == 401


async def test_another_key_cannot_log_in_as_a_linked_device(network: Network) -> None:
    live = await linked(network, ALICE)
    stranger = log_in(network, device_of(live).account, KeyPair.generate().public)
    assert stranger.last("failure").attrs["reason"] == 401
    assert stranger.device is None
    assert device_of(live).session is live


async def test_a_second_login_replaces_the_first(network: Network) -> None:
    live = await linked(network, ALICE)
    again = log_in(network, device_of(live).account, live.noise_key)
    assert live.last("stream:error").find("conflict") is not None
    assert again.device is not None
    assert again.device.session is again


# --- realms ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("asking", "asked"), [("here", "there"), ("there", "here")])
class TestRealmsDoNotSeeEachOther:
    @pytest.fixture
    def inside(self, network: Network, asking: str) -> Callable[[], Any]:
        return lambda: linked(network, ALICE, asking)

    async def test_in_the_directory(self, network: Network, inside: Any, asked: str, asking: str) -> None:
        me, stranger = await inside(), network.create_account(BOB, "Bob", asked)
        neighbour = network.create_account(CHARLIE, "Charlie", asking)
        for jid in (stranger.pn, stranger.lid):
            assert usync(me, jid).content is None
        for jid in (neighbour.pn, neighbour.lid):
            assert usync(me, jid).find("lid") is not None
        contact = node("contact", f"+{BOB}@c.us")
        asked_for = node("usync", node("query", node("contact")), node("list", node("user", contact)))
        found = me.query("usync", "get", asked_for).find("usync", "list", "user", "contact")
        assert found is not None
        assert found.attrs["type"] == "out"

    async def test_in_keys_and_pictures(self, network: Network, inside: Any, asked: str) -> None:
        me, stranger = await inside(), await linked(network, BOB, asked)
        keys = me.query("encrypt", "get", node("key", node("user", jid=device_of(stranger).lid)))
        error = keys.find("list", "user", "error")
        assert error is not None
        assert error.attrs["code"] == 404
        account = device_of(stranger).account
        stranger.query("w:profile:picture", "set", node("picture", b"JPEG"))
        assert account.picture is not None
        wanted = {"xmlns": "w:profile:picture", "type": "get", "id": "p", "to": me.last("iq").attrs["from"]}
        network.received(me, node("iq", node("picture", type="image"), target=account.lid, **wanted))
        assert me.sent[-1].attrs["type"] == "error"

    async def test_in_messages_typing_presence_and_calls(self, network: Network, inside: Any, asked: str) -> None:
        me, stranger = await inside(), await linked(network, BOB, asked)
        there = device_of(stranger)
        before, queued = list(stranger.sent), dict(there.queue)
        for to in (there.lid, there.pn):
            network.received(me, message(to))
            network.received(me, node("chatstate", node("composing"), to=to.bare))
            network.received(me, node("presence", type="subscribe", to=to.bare))
            network.received(me, node("call", node("offer"), to=to, id="C1"))
            network.received(me, node("receipt", to=to, id="R1"))
        network.set_presence(there, online=True)
        assert (stranger.sent, there.queue) == (before, queued)
        assert of(me, "presence") == []
        with pytest.raises(NotOnWhatsApp):
            there.account.phone.send(ALICE, Message(conversation="psst"))
        with pytest.raises(NotOnWhatsApp):
            there.account.phone.typing(ALICE, "composing", "")
        with pytest.raises(NotOnWhatsApp):
            there.account.phone.call(ALICE)

    async def test_in_groups(self, network: Network, inside: Any, asked: str) -> None:
        me, stranger = await inside(), await linked(network, BOB, asked)
        there = device_of(stranger)
        create = node("create", node("participant", jid=there.lid.bare), subject="Team")
        made = me.query("w:g2", "set", create, to=Jid("", "g.us")).find("group")
        assert made is not None
        group = network.groups[made.text("id")]
        assert list(group.members) == [device_of(me).account]
        for content in (node("query"), node("invite")):
            assert stranger.query("w:g2", "get", content, to=group.jid).attrs["type"] == "error"
        joined = stranger.query("w:g2", "set", node("invite", code=group.invite), to=Jid("", "g.us"))
        assert joined.attrs["type"] == "error"
        network.received(stranger, node("message", node("enc", b"x", type="skmsg"), id="1", to=group.jid, type="text"))
        assert [m for m in of(me, "message") if m.attrs["from"] == group.jid] == []

    async def test_a_number_belongs_to_one_realm(self, network: Network, inside: Any, asked: str, asking: str) -> None:
        account = device_of(await inside()).account
        with pytest.raises(PhoneTaken):
            network.create_account(ALICE, "Mallory", asked)
        assert network.create_account(ALICE, "Alice", asking) is account
        assert account.name == "Alice"


# --- delivery -------------------------------------------------------------------------------


async def test_what_comes_twice_is_acknowledged_twice_and_delivered_once(network: Network) -> None:
    alice, bob = await linked(network, ALICE), await linked(network, BOB)
    to = device_of(bob).lid
    for _ in range(2):
        network.received(alice, message(to, "TWICE"))
    assert len([a for a in of(alice, "ack") if a.attrs["id"] == "TWICE"]) == 2
    assert len([m for m in of(bob, "message") if m.attrs["id"] == "TWICE"]) == 1
    retry = node("message", node("enc", b"again", v=2, type="pkmsg", count=1), id="TWICE", to=to, type="text")
    network.received(alice, retry)
    assert len([m for m in of(bob, "message") if m.attrs["id"] == "TWICE"]) == 2, "an answer to a retry is no copy"
    network.received(bob, message(device_of(alice).lid, "TWICE"))
    assert len([m for m in of(alice, "message") if m.attrs["id"] == "TWICE"]) == 1, "ids belong to their sender"


async def test_only_the_latest_ids_are_remembered(network: Network) -> None:
    alice, bob = await linked(network, ALICE), await linked(network, BOB)
    for number in range(MAX_REMEMBERED + 10):
        network.received(alice, message(device_of(bob).lid, str(number)))
    assert len(device_of(alice).sent) == MAX_REMEMBERED


async def test_unconfirmed_stanzas_wait_for_the_device_and_confirmed_ones_do_not(network: Network) -> None:
    alice, bob = await linked(network, ALICE), await linked(network, BOB)
    device = device_of(bob)
    network.received(bob, node("ack", class_="message", to=device_of(alice).lid, id="unknown"))
    for id_ in ("SEEN", "MISSED"):
        network.received(alice, message(device.lid, id_))
    network.received(bob, node("receipt", id="SEEN", to=device_of(alice).lid))
    network.disconnected(bob)
    network.received(alice, message(device.lid, "LATER"))
    again = log_in(network, device.account, bob.noise_key)
    again.query("passive", "set", node("active"))
    while not device.active:
        await asyncio.sleep(0.001)
    assert [m.attrs["id"] for m in of(again, "message") if "category" not in m.attrs] == ["MISSED", "LATER"]
    assert again.last("ib").find("offline") is not None


@pytest.mark.parametrize(
    ("faults", "acked", "delivered"),
    [
        ({}, True, True),
        ({"drop_acks": 1}, False, True),
        ({"lose_messages": 1}, True, False),
        ({"ack_error": 463}, True, False),
        ({"mute": True}, False, False),
        ({"ack_delay": 0.05}, False, True),
        ({"corrupt": 1}, True, True),
    ],
)
async def test_faults_do_what_they_say(network: Network, faults: dict[str, Any], acked: bool, delivered: bool) -> None:
    alice, bob = await linked(network, ALICE), await linked(network, BOB)
    for name, value in faults.items():
        setattr(device_of(alice).account.faults, name, value)
    network.received(alice, message(device_of(bob).lid))
    acks = [a for a in of(alice, "ack") if a.attrs["id"] == "M1"]
    got = [m for m in of(bob, "message") if m.attrs["id"] == "M1"]
    assert (bool(acks), bool(got)) == (acked, delivered)
    if "ack_error" in faults:
        assert acks[0].attrs["error"] == 463
    if "corrupt" in faults:
        assert got[0].find("enc") != node("enc", b"ciphertext", v=2, type="msg")
    if "ack_delay" in faults:
        while not [a for a in of(alice, "ack") if a.attrs["id"] == "M1"]:
            await asyncio.sleep(0.01)
    if {"drop_acks", "lose_messages", "corrupt"} & faults.keys():
        network.received(alice, message(device_of(bob).lid, "M2"))
        assert any(a.attrs["id"] == "M2" for a in of(alice, "ack"))
        assert any(m.attrs["id"] == "M2" for m in of(bob, "message")), "the fault was for one message"


async def test_a_query_fails_with_the_injected_error(network: Network) -> None:
    alice = await linked(network, ALICE)
    device_of(alice).account.faults.iq_errors["encrypt"] = 429
    error = alice.query("encrypt", "get", node("count")).find("error")
    assert error is not None
    assert error.attrs["code"] == 429


@pytest.mark.parametrize("value", [b"", bytes(31)])
async def test_keys_that_are_none_are_refused(network: Network, value: bytes) -> None:
    alice = await linked(network, ALICE)
    before = device_of(alice).signed_prekey
    good = node("skey", node("value", bytes(range(32))))
    bad = node("value", value)
    for skey, key in ((node("skey", bad), None), (good, node("key", bad))):
        assert alice.query("encrypt", "set", skey, node("list", key)).attrs["type"] == "error"
    assert (device_of(alice).signed_prekey, device_of(alice).prekeys) == (before, {})


async def test_an_unlinked_client_can_ask_for_nothing(network: Network) -> None:
    session, _ = waiting(network)
    network.create_account(ALICE, "Alice", "")
    asked = node("usync", node("query"), node("list", node("user", jid=Jid(ALICE))))
    assert session.query("usync", "get", asked).attrs["type"] == "error"
    before = list(session.sent)
    network.received(session, message(Jid(ALICE)))
    assert session.sent == before


@pytest.mark.parametrize("error", ControlError.__subclasses__(), ids=lambda e: e.code)
def test_refusals_have_a_code_and_a_status(error: type[ControlError]) -> None:
    assert error.status in (400, 404, 409, 413)
    assert error.code.isascii()
