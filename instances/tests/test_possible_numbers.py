"""The quick check of phone numbers says what the library says."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from instances.whatsapp.jids import STATUS, InvalidJid, InvalidPhoneNumber, Jid, person, possible_number, recipient

codes = st.sampled_from(sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE))
national = st.text(st.sampled_from("0123456789"), min_size=4, max_size=12)


@given(codes, national)
@example(49, "01511234567")
@example(44, "02079460958")
@example(54, "91112345678")
def test_a_number_is_possible_exactly_when_the_library_says_so(code: int, digits: str) -> None:
    text = f"{code}{digits}"[:15]
    try:
        number = phonenumbers.parse(f"+{text}")
        possible = phonenumbers.is_possible_number(number)
        expected = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:] if possible else None
    except phonenumbers.NumberParseException:
        expected = None
    try:
        found: str | None = possible_number(text)
    except InvalidJid:
        found = None
    assert found == (expected if len(text) >= 7 else None)


@pytest.mark.parametrize("text", ["99912345678", "155501000022", "+1 555 010", "4915"])
def test_a_number_that_no_country_can_have_is_refused(text: str) -> None:
    with pytest.raises(InvalidJid):
        recipient(text)


def test_a_national_prefix_in_brackets_is_left_out() -> None:
    assert recipient("+49 (0)1511 2345678") == Jid("4915112345678")


def test_a_jid_is_taken_as_whatsapp_writes_it() -> None:
    assert recipient("155501000022@s.whatsapp.net") == Jid("155501000022")


def test_status_is_a_recipient_and_no_person() -> None:
    assert recipient("status") == recipient("status@broadcast") == STATUS
    assert person("777@lid") == Jid("777", "lid")
    for text in ("status", "120363000000000001@g.us", "1@newsletter"):
        with pytest.raises(InvalidJid) as raised:
            person(text)
        assert not isinstance(raised.value, InvalidPhoneNumber)
