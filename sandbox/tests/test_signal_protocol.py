"""The Signal code against itself; test_clients.py holds it against the real library."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.crypto import KeyPair
from sandbox.signal_protocol import (
    _MAX_SKIP,
    Bundle,
    SenderKey,
    SignalError,
    SignalSession,
    SignalStore,
    aes_cbc,
    pad,
    unpad,
)

from .harness import unhurried


def pair() -> tuple[SignalStore, SignalStore]:
    """Two stores; the first has a session towards the second."""
    alice, bob = (SignalStore.generate(KeyPair.generate()) for _ in range(2))
    signed = (1, bob.signed_prekey.public)
    alice.start("bob", Bundle(bob.registration, bob.identity.public, signed, None))
    return alice, bob


def test_messages_go_both_ways_and_the_first_ones_carry_the_keys() -> None:
    alice, bob = pair()
    for n in range(3):
        kind, message = alice.encrypt("bob", b"hi %d" % n)
        assert (kind, bob.decrypt("alice", kind, message)) == ("pkmsg", b"hi %d" % n)
    kind, message = bob.encrypt("alice", b"ho")
    assert (kind, alice.decrypt("bob", kind, message)) == ("msg", b"ho")
    kind, message = alice.encrypt("bob", b"settled")
    assert (kind, bob.decrypt("alice", kind, message)) == ("msg", b"settled")


@settings(unhurried, max_examples=25)
@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=80)), max_size=30), st.randoms())
def test_messages_arrive_in_any_order(turns: list[tuple[bool, bytes]], chance: random.Random) -> None:
    alice, bob = pair()
    bob.decrypt("alice", *alice.encrypt("bob", b"first"))
    under_way = [
        (bob, "alice", alice.encrypt("bob", text), text)
        if from_alice
        else (alice, "bob", bob.encrypt("alice", text), text)
        for from_alice, text in turns
    ]
    chance.shuffle(under_way)
    for receiver, sender, message, text in under_way:
        assert receiver.decrypt(sender, *message) == text


def test_a_message_is_read_once_and_a_changed_one_not_at_all() -> None:
    alice, bob = pair()
    kind, message = alice.encrypt("bob", b"once")
    with pytest.raises(SignalError):
        bob.decrypt("alice", kind, message[:-1] + bytes([message[-1] ^ 1]))
    assert "alice" not in bob.sessions, "what failed must not replace a session"
    assert bob.decrypt("alice", kind, message) == b"once"
    with pytest.raises(SignalError, match="old counter"):
        bob.decrypt("alice", kind, message)


def test_a_stored_session_goes_on_where_it_was() -> None:
    alice, bob = pair()
    for n in (0, 2, 1):
        messages = [alice.encrypt("bob", b"%d" % i) for i in range(3)]
        bob.decrypt("alice", *messages[n])
    late = alice.encrypt("bob", b"late"), alice.encrypt("bob", b"later")
    bob.decrypt("alice", *late[1])
    stored = msgspec.msgpack.encode(bob.sessions["alice"])
    bob.sessions["alice"] = msgspec.msgpack.decode(stored, type=list[SignalSession])
    assert bob.decrypt("alice", *late[0]) == b"late"
    assert alice.decrypt("bob", *bob.encrypt("alice", b"answer")) == b"answer"


def test_only_so_many_messages_may_be_missing() -> None:
    alice, bob = pair()
    bob.decrypt("alice", *alice.encrypt("bob", b"first"))
    for _ in range(_MAX_SKIP + 1):
        alice.encrypt("bob", b"lost")
    with pytest.raises(SignalError, match="future"):
        bob.decrypt("alice", *alice.encrypt("bob", b"too late"))


def test_a_group_message_is_read_by_those_who_know_the_key() -> None:
    alice, bob, carol = (SignalStore.generate(KeyPair.generate()) for _ in range(3))
    missed = alice.group_encrypt("group", b"before bob came")[1]
    distribution, first = alice.group_encrypt("group", b"first")
    bob.learn_sender_key("group", "alice", distribution)
    second = alice.group_encrypt("group", b"second")[1]
    assert bob.group_decrypt("group", "alice", second)[1] == b"second"
    id_, text = bob.group_decrypt("group", "alice", first)
    assert text == b"first"
    key = bob.sender_keys["group", "alice", id_]
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(key), type=SenderKey) == key
    for store, message in ((bob, missed), (carol, first)):
        with pytest.raises(SignalError):
            store.group_decrypt("group", "alice", message)


@pytest.fixture(scope="module")
def bob() -> SignalStore:
    """A store with a session from "alice"."""
    alice, bob = pair()
    bob.decrypt("alice", *alice.encrypt("bob", b"hello"))
    return bob


@unhurried
@given(st.binary(max_size=200), st.sampled_from(["msg", "pkmsg"]))
def test_garbage_is_a_signal_error(bob: SignalStore, garbage: bytes, kind: str) -> None:
    for message in (garbage, b"3" + garbage):
        with pytest.raises(SignalError):
            bob.decrypt("alice", kind, message)
        with pytest.raises(SignalError):
            bob.group_decrypt("group", "alice", message)


@unhurried
@given(st.binary(max_size=100))
def test_padding_comes_off_again(data: bytes) -> None:
    assert unpad(pad(data)) == data
    key, iv = bytes(32), bytes(16)
    assert aes_cbc(key, iv, aes_cbc(key, iv, data), decrypt=True) == data


@pytest.mark.parametrize("data", [b"", b"\0", b"a\x05"], ids=["nothing", "zero", "more than there is"])
def test_bad_padding_is_refused(data: bytes) -> None:
    with pytest.raises(SignalError):
        unpad(data)
