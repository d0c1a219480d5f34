from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instances.whatsapp.jids import InvalidJid, Jid, parse, phone_number, recipient

digits = st.from_regex(r"[1-9][0-9]{6,14}", fullmatch=True)
servers = st.sampled_from(["s.whatsapp.net", "lid", "g.us", "broadcast", "newsletter"])
jids = st.builds(Jid, digits, servers, st.integers(0, 99999))


@given(jids)
def test_a_jid_comes_back_from_its_text(jid: Jid) -> None:
    assert parse(str(jid)) == jid
    assert parse(str(jid)).bare == Jid(jid.user, jid.server)


@pytest.mark.parametrize(
    ("text", "jid"),
    [
        ("15550100002@s.whatsapp.net", Jid("15550100002")),
        ("15550100002:7@s.whatsapp.net", Jid("15550100002", "s.whatsapp.net", 7)),
        ("777@lid", Jid("777", "lid")),
        ("120363000000000001@g.us", Jid("120363000000000001", "g.us")),
        ("15550100002-1500000000@g.us", Jid("15550100002-1500000000", "g.us")),
        ("status@broadcast", Jid("status", "broadcast")),
    ],
)
def test_every_kind_of_jid_is_known(text: str, jid: Jid) -> None:
    assert parse(text) == jid
    assert jid.phone == (jid.user if text.endswith("s.whatsapp.net") else None)


@pytest.mark.parametrize(
    "text",
    ["", "@", "15550100002", "15550100002@", "@lid", "a@lid", "1@c.us", "1:@lid", "1:123456@lid", "1@lid\n", " 1@lid",
     "1" * 21 + "@lid", "\u0661@lid", "1@s-whatsapp.net", "1@lid@lid", "1:2:3@lid"],
)  # fmt: skip
def test_other_texts_are_no_jids(text: str) -> None:
    with pytest.raises(InvalidJid):
        parse(text)


@given(digits, st.data())
def test_a_phone_number_may_be_decorated(number: str, data: st.DataObject) -> None:
    decorated = "".join(data.draw(st.sampled_from(["", " ", "-", ".", "(", ")"])) + digit for digit in number)
    assert phone_number(decorated) == phone_number(f"+{decorated}") == number


@given(st.text())
def test_a_phone_number_is_seven_to_fifteen_digits_or_an_error(text: str) -> None:
    try:
        number = phone_number(text)
    except InvalidJid:
        return
    assert number.isascii()
    assert number.isdigit()
    assert 7 <= len(number) <= 15


@pytest.mark.parametrize(
    "text", ["", "+", "123456", "1" * 16, "0491700000001", "++15550100002", "1555O100002", "\u0661" * 8]
)
def test_other_texts_are_no_phone_numbers(text: str) -> None:
    with pytest.raises(InvalidJid):
        phone_number(text)


def test_a_recipient_is_a_phone_number_or_a_jid_without_its_device() -> None:
    assert recipient("+1 555 010-0002") == recipient("15550100002:7@s.whatsapp.net") == Jid("15550100002")
    assert recipient("777:3@lid") == Jid("777", "lid")


@given(st.text())
def test_any_text_is_a_recipient_or_an_error(text: str) -> None:
    try:
        found = recipient(text)
    except InvalidJid:
        return
    assert recipient(str(found)) == found
