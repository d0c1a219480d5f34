from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instances.whatsapp.failures import _TABLE, failure_of

# As the client library words them, and what they mean.
TEXTS = [
    ("no LID found for 15550100099@s.whatsapp.net from server", "not_on_whatsapp", "failed"),
    ("server returned error 463", "cold_contact_refused", "failed"),
    ("server returned error 479", "refused_by_whatsapp", "failed"),
    ("failed to get group members: 403", "group_unavailable", "failed"),
    ("client is nil", "offline", "retry"),
    ("failed to send message node: websocket not connected", "offline", "retry"),
    ("the store doesn't contain a device JID", "offline", "retry"),
    ("failed to get user info for 1@lid to fill LID cache: info query timed out", "no_answer", "retry"),
    ("failed to get device list: info query timed out", "no_answer", "retry"),
    ("timed out waiting for message send response", "no_acknowledgement", "doubt"),
    ("websocket disconnected before message send returned response", "no_acknowledgement", "doubt"),
]


@pytest.mark.parametrize(("text", "code", "outcome"), TEXTS)
def test_what_the_library_says_has_a_meaning(text: str, code: str, outcome: str) -> None:
    failure = failure_of(text)
    assert (failure.code, failure.outcome) == (code, outcome)
    assert failure.detail.endswith(".")


def test_a_refusal_names_its_number() -> None:
    assert failure_of("server returned error 479").detail == "WhatsApp refused the message (code 479)."


def test_every_row_of_the_table_is_tried() -> None:
    for pattern in _TABLE:
        assert any(re.search(pattern, text) for text, _, _ in TEXTS), pattern


@given(st.text(max_size=1000))
def test_an_unknown_text_is_a_doubt_and_fits_its_column(text: str) -> None:
    failure = failure_of(f"~{text}~")
    assert failure.outcome in ("failed", "retry", "doubt")
    assert len(failure.code) <= 40
    assert len(failure.detail) <= 500
    if not any(re.search(pattern, text) for pattern in _TABLE):
        assert failure.outcome == "doubt"
