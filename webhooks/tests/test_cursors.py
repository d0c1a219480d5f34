from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.api.problems import Problem
from config.ids import new_id, to_uuid
from webhooks import cursors

STREAMS = st.dictionaries(st.uuids().map(lambda one: one.hex), st.integers(1, 2**63 - 1), max_size=50)


@given(STREAMS)
def test_a_cursor_holds_the_position_of_each_stream(positions: dict[str, int]) -> None:
    text = cursors.encode(positions)
    found = cursors.decode(text)
    assert [found[stream] for stream in positions] == list(positions.values())
    assert len(found) == len(positions)
    assert cursors.encode(found) == text
    assert cursors.encode(dict(reversed(positions.items()))) == text


def decoded(text: str) -> cursors.Positions | None:
    """None for a text that is refused."""
    try:
        return cursors.decode(text)
    except Problem as problem:
        return None if problem.errors[0][:2] == ("/after", "invalid_cursor") else pytest.fail(str(problem))


@given(STREAMS, st.data())
def test_a_cursor_that_is_cut_or_changed_is_refused_or_another_one(positions: dict[str, int], data: Any) -> None:
    text = cursors.encode(positions)
    place = data.draw(st.integers(1, len(text) - 1))
    for broken in (text[:place], text[:place] + data.draw(st.characters()) + text[place + 1 :]):
        found = decoded(broken)
        assert found is None or cursors.encode(found) == broken


@given(st.text() | st.binary().map(lambda some: base64.urlsafe_b64encode(b"\x01" + some).rstrip(b"=").decode()))
def test_no_text_breaks_the_decoder(text: str) -> None:
    found = decoded(text)
    assert text in ("", "latest") or found is None or cursors.encode(found) == text


def test_a_position_before_the_first_event_takes_no_place() -> None:
    stream = to_uuid(new_id("ins"), "ins").hex
    assert cursors.encode({stream: 0}) == cursors.encode({})


def test_a_hundred_instances_make_a_cursor_of_one_and_a_half_kilobytes() -> None:
    positions = {to_uuid(new_id("ins"), "ins").hex: 2_000_000 for _ in range(100)}
    assert len(cursors.encode(positions)) < 1650
    assert cursors.encode(positions).replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize(("text", "positions"), [("", cursors.BEGINNING), ("latest", cursors.LATEST)])
def test_the_beginning_and_the_end_have_names(text: str, positions: cursors.Positions) -> None:
    assert cursors.decode(text) is positions
