"""No message, whatever is in it, ends the translation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from instances.tests.test_translating import event, info
from instances.whatsapp.news import Inbound
from instances.whatsapp.protos import Message
from instances.whatsapp.raw import raw_json
from instances.whatsapp.translating import MESSAGE, translate


def messages(depth: int = 3) -> st.SearchStrategy[Any]:
    """Messages with any of their fields set to anything, in their serialized form."""
    return st.builds(_filled, st.randoms(use_true_random=False), st.just(depth))


def _filled(random: Any, depth: int) -> Any:
    message = Message()
    _fill(message, random, depth)
    return message


def _fill(message: Any, random: Any, depth: int) -> None:
    fields = message.DESCRIPTOR.fields
    for field in random.sample(list(fields), min(len(fields), random.randint(1, 4))):
        makers: dict[int, Callable[[], Any]] = {
            field.CPPTYPE_STRING: lambda f=field: _text(random) if f.type == f.TYPE_STRING else random.randbytes(20),
            field.CPPTYPE_BOOL: lambda: True,
            field.CPPTYPE_DOUBLE: lambda: random.choice([float("nan"), float("inf"), -1e300, 52.5]),
            field.CPPTYPE_FLOAT: lambda: random.choice([float("nan"), float("-inf"), 1.5]),
            field.CPPTYPE_INT32: lambda: random.choice([-(2**31), 2**31 - 1, 0]),
            field.CPPTYPE_INT64: lambda: random.choice([-(2**63), 2**63 - 1, 10**11]),
            field.CPPTYPE_UINT32: lambda: random.choice([2**32 - 1, 1]),
            field.CPPTYPE_UINT64: lambda: random.choice([2**64 - 1, 1]),
        }
        if field.message_type is not None:
            if depth and not field.message_type.GetOptions().map_entry:
                part = getattr(message, field.name)
                _fill(part.add() if field.is_repeated else part, random, depth - 1)
        elif field.enum_type is not None:
            number = random.choice(field.enum_type.values).number
            getattr(message, field.name).append(number) if field.is_repeated else setattr(message, field.name, number)
        elif make := makers.get(field.cpp_type):
            getattr(message, field.name).append(make()) if field.is_repeated else setattr(message, field.name, make())


def _text(random: Any) -> str:
    return str(random.choice(["", "a\x00b", "x" * 70_000, "1@g.us", "777@lid", "BEGIN:VCARD\nTEL:\nN:;;;;;;;\n", "👍"]))


def test_a_message_that_lacks_what_its_definition_requires_is_read() -> None:
    message = Message()
    message.extendedTextMessage.text = "Hello"
    message.extendedTextMessage.endCardTiles.add()
    found = translate(MESSAGE, event(message))
    assert isinstance(found, Inbound)
    assert found.content == {"body": "Hello"}


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(message=messages(), from_me=st.booleans(), group=st.booleans())
def test_no_message_raises(message: Any, from_me: bool, group: bool) -> None:
    found = translate(MESSAGE, event(message, from_me=from_me, group=group))
    if isinstance(found, Inbound):
        assert found.content != {"kind": "unreadable"}
        assert "\x00" not in str(found.content)
    raw_json(message.SerializePartialToString())


@settings(max_examples=100, deadline=None)
@given(junk=st.binary(max_size=200))
def test_no_bytes_inside_a_message_raise(junk: bytes) -> None:
    part = bytes([0x12, len(junk) & 127]) + junk[: len(junk) & 127]
    translate(MESSAGE, b"\x0a" + _length(info().SerializePartialToString()) + part)


def _length(value: bytes) -> bytes:
    size, left = b"", len(value)
    while left > 127:
        size, left = size + bytes([left & 127 | 128]), left >> 7
    return size + bytes([left]) + value
