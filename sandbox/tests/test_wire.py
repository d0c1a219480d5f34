from __future__ import annotations

import contextlib
import zlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sandbox.wire import _DOUBLE, _SINGLE, MAX_DEPTH, MAX_SIZE, SERVER, Jid, Node, WireError, decode, encode, node

from .harness import unhurried

TOKENS = [t for t in _SINGLE if t] + [t for page in _DOUBLE for t in page]

users = st.text("0123456789", min_size=1, max_size=20) | st.text(min_size=1, max_size=20)
jids = (
    st.builds(Jid, users, st.sampled_from(["s.whatsapp.net", "lid", "hosted", "hosted.lid"]), st.integers(0, 255))
    | st.builds(Jid, users, st.sampled_from(["g.us", "broadcast", "newsletter"]), st.just(0))
    | st.just(SERVER)
)
strings = (
    st.sampled_from(TOKENS)
    | st.text("0123456789-.", max_size=200)
    | st.text("0123456789ABCDEF", max_size=200)
    | st.text(max_size=300)
)
nodes = st.recursive(
    st.builds(Node, strings, st.dictionaries(strings, strings | jids, max_size=5), st.none() | st.binary(max_size=400)),
    lambda inner: st.builds(Node, strings, st.dictionaries(strings, jids, max_size=3), st.lists(inner, max_size=6)),
    max_leaves=12,
)


@settings(unhurried, max_examples=40)
@given(nodes)
@example(Node("", {"": ""}, []))
@example(Node("iq", {"n": "-"}, b""))
def test_every_node_comes_back_as_it_was(original: Node) -> None:
    assert decode(encode(original)) == original


@settings(unhurried, max_examples=40)
@given(nodes)
def test_a_compressed_frame_means_the_same(original: Node) -> None:
    assert decode(b"\2" + zlib.compress(encode(original)[1:])) == original


def test_every_token_comes_back_and_takes_at_most_two_bytes() -> None:
    for token in TOKENS:
        frame = encode(Node("iq", {token: token}))
        assert decode(frame).attrs == {token: token}
        assert len(frame) <= 1 + 2 + 2 + 2 * 2


@pytest.mark.parametrize("alphabet", ["0123456789-.", "0123456789ABCDEF"])
@pytest.mark.parametrize("size", [5, 6, 126, 127])
def test_digits_and_hex_are_packed_two_in_a_byte(alphabet: str, size: int) -> None:
    text = (alphabet * 20)[-size:]
    frame = encode(Node("iq", {"id": text}))
    assert decode(frame).attrs["id"] == text
    assert len(frame) == len(encode(Node("iq", {"id": "?"}))) - 3 + 2 + (size + 1) // 2


@pytest.mark.parametrize("size", [0, 1, 255, 256, 65_535])
def test_lists_of_every_length_come_back(size: int) -> None:
    parent = Node("iq", {}, [Node("item", {"id": str(i)}) for i in range(size)])
    assert decode(encode(parent)) == parent


@pytest.mark.parametrize("size", [0, 255, 256, (1 << 20) - 1, 1 << 20, 5 << 20])
def test_binaries_of_every_length_come_back(size: int) -> None:
    blob = bytes(size)
    assert decode(encode(Node("enc", {}, blob))).content == blob


@pytest.mark.parametrize(
    "impossible",
    [
        Node("iq", {}, [Node("x")] * 65_536),
        Node("iq", {"to": Jid("1", "g.us", 3)}),
        Node("iq", {"to": Jid("1", "s.whatsapp.net", 256)}),
    ],
    ids=["too many children", "a group with a device", "a device number beyond a byte"],
)
def test_what_has_no_encoding_is_refused(impossible: Node) -> None:
    with pytest.raises(WireError):
        encode(impossible)


@unhurried
@given(st.binary(max_size=300))
def test_garbage_is_a_stanza_or_a_wire_error(garbage: bytes) -> None:
    for flags in (b"\0", b"\2"):
        with contextlib.suppress(WireError):
            assert isinstance(decode(flags + garbage), Node)


@settings(unhurried, max_examples=40)
@given(nodes, st.data())
def test_a_damaged_stanza_is_a_stanza_or_a_wire_error(original: Node, data: st.DataObject) -> None:
    frame = bytearray(encode(original))
    position = data.draw(st.integers(0, len(frame) - 1))
    frame[position] = data.draw(st.integers(0, 255))
    with contextlib.suppress(WireError):
        assert isinstance(decode(bytes(frame)), Node)


@settings(unhurried, max_examples=40)
@given(nodes, st.data())
def test_a_truncated_stanza_is_refused(original: Node, data: st.DataObject) -> None:
    frame = encode(original)
    with pytest.raises(WireError):
        decode(frame[: data.draw(st.integers(0, len(frame) - 1))])


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\0",
        b"\0\0",
        b"\0\xf8\0",
        encode(Node("iq")) + b"\0",
        b"\0" + b"\xf8\x02\x0b\xf8\x01" * 5000,
        b"\0\xf8\x03\x0b\x0b" + b"\xfa" * 5000,
        b"\2" + zlib.compress(bytes(MAX_SIZE + 1)),
        b"\2" + zlib.compress(encode(Node("iq")))[:-3],
        b"\0\xf8\x03\x0b\x0b\xff\x01\xcf",
        b"\0\xf8\x03\x0b\x0b\xff\x81\x11",
        b"\0\xf8\x03\x0b\x0b\xf7\x09\x01\x0b",
        b"\0\xf8\x01\xfc\x02\xff\xfe",
    ],
    ids=[
        "nothing",
        "no node",
        "an empty list",
        "no tag",
        "more than one",
        "nested 5000 deep",
        "a JID of JIDs",
        "a bomb",
        "half a compression",
        "digits beyond the alphabet",
        "a bad filler",
        "an unknown domain",
        "no UTF-8",
    ],
)
def test_what_is_no_stanza_is_refused(frame: bytes) -> None:
    with pytest.raises(WireError):
        decode(frame)


def test_nesting_is_allowed_up_to_the_limit() -> None:
    deep = Node("a")
    for _ in range(MAX_DEPTH):
        deep = Node("a", {}, [deep])
    assert decode(encode(deep)) == deep
    with pytest.raises(WireError, match="deeply"):
        decode(encode(Node("a", {}, [deep])))


@unhurried
@given(jids)
def test_a_jid_is_what_its_text_says(jid: Jid) -> None:
    if not set(jid.user) & set("@:"):
        text = str(jid)
        assert Jid.parse(text if "@" in text else f"@{text}") == jid


@pytest.mark.parametrize("text", ["", "x@", "1:a@lid", "1:-2@lid"])
def test_what_is_no_jid_is_refused(text: str) -> None:
    with pytest.raises(WireError):
        Jid.parse(text)


def test_the_builder_leaves_out_what_is_none_and_drops_the_underscore() -> None:
    assert node("iq", None, node("x"), from_=SERVER, id=None) == Node("iq", {"from": SERVER}, [Node("x")])
    assert node("body", "text") == Node("body", {}, b"text")
    assert node("x") == Node("x", {}, None)
