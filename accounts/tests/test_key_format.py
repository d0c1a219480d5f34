from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.keys import ApiKeyManager, checksum, lookup_prefix
from accounts.models import ApiKey, Mode

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def new_key(mode: str) -> tuple[ApiKey, str]:
    row = ApiKey(mode=mode)
    return row, ApiKeyManager().assign_key(row)


@pytest.mark.parametrize("mode", Mode.values)
def test_a_key_tells_its_mode_and_is_one_word(mode: str) -> None:
    row, key = new_key(mode)
    assert re.fullmatch(rf"wak_{mode}_[0-9A-Za-z]{{50}}", key)
    assert lookup_prefix(key) == row.prefix


def test_no_two_keys_are_alike() -> None:
    assert len({new_key("test")[1] for _ in range(100)}) == 100


@given(st.text(alphabet=BASE62, min_size=44, max_size=44), st.sampled_from(Mode.values))
def test_the_prefix_of_a_well_formed_key_is_found(body: str, mode: str) -> None:
    start = f"wak_{mode}_{body}"
    assert lookup_prefix(start + checksum(start)) == body[:12]


@given(st.integers(0, 58), st.sampled_from(BASE62))
def test_a_key_with_one_wrong_character_is_no_key(place: int, character: str) -> None:
    _, key = new_key("live")
    changed = key[:place] + character + key[place + 1 :]
    assert (lookup_prefix(changed) is None) == (changed != key)


@given(st.text())
def test_other_texts_are_no_keys(text: str) -> None:
    assert lookup_prefix(text) is None
    assert lookup_prefix(f"wak_test_{text}") is None


@given(st.binary())
def test_a_checksum_is_six_base62_digits(data: bytes) -> None:
    assert re.fullmatch(r"[0-9A-Za-z]{6}", checksum(data.decode("latin-1")))
