from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instances.whatsapp.failures import CODES, OUTCOMES, RULES, failure_of, retryable

# As the client library words them, and what they mean.
TEXTS = [
    ("no LID found for 15550100099@s.whatsapp.net from server", "not_on_whatsapp", "failed"),
    ("failed to get device list: no LID found for 15550100099@s.whatsapp.net from server", "not_on_whatsapp", "failed"),
    ("server returned error 463", "cold_contact_refused", "hold"),
    ("server returned error 475", "cold_contact_refused", "hold"),
    ("server returned error 479", "refused_by_whatsapp", "failed"),
    ("server returned error 421", "group_changed", "retry"),
    ("server returned error 429", "rate_limited_by_whatsapp", "retry"),
    ("server returned error 503", "whatsapp_unavailable", "retry"),
    ("server returned error 403", "not_allowed_by_whatsapp", "failed"),
    ("failed to get group members: you're not participating in that group", "not_in_group", "failed"),
    ("failed to get group members: that group does not exist", "group_not_found", "failed"),
    ("failed to get group members: missing <groups> element in response", "group_unavailable", "failed"),
    ("failed to get group members: info query timed out", "no_answer", "retry"),
    ("failed to get group members: websocket not connected", "offline", "retry"),
    (
        "failed to get group members: info query returned status 429: rate-overlimit",
        "rate_limited_by_whatsapp",
        "retry",
    ),
    ("failed to get group members: info query returned status 503: ", "whatsapp_unavailable", "retry"),
    ("failed to get broadcast list members: failed to get status privacy: ?", "no_answer", "retry"),
    (
        "failed to get broadcast list members: sending to non-status broadcast lists is not yet supported",
        "unsupported_by_engine",
        "failed",
    ),
    ("media upload: failed to refresh media connections: client is nil", "offline", "retry"),
    ("media upload: failed to refresh media connections: info query timed out", "upload_failed", "retry"),
    ("media upload: upload failed with status code 413", "message_too_large", "failed"),
    ("media upload: upload failed with status code 500", "upload_failed", "retry"),
    ("client is nil", "offline", "retry"),
    ("failed to send message node: websocket not connected", "offline", "retry"),
    ("failed to send message node: frame socket is closed", "offline", "retry"),
    ("failed to send message node: context canceled", "no_acknowledgement", "doubt"),
    ("failed to send message node: frame too large (got 9 bytes, max 8 bytes)", "message_too_large", "failed"),
    ("the store doesn't contain a device JID", "offline", "retry"),
    ("failed to get user info for 1@lid to fill LID cache: info query timed out", "no_answer", "retry"),
    ("failed to get device list: info query timed out", "no_answer", "retry"),
    ("failed to get device list: failed to send usync query: websocket not connected", "offline", "retry"),
    (
        "failed to get device list: failed to send usync query: info query returned status 429: rate-overlimit",
        "rate_limited_by_whatsapp",
        "retry",
    ),
    (
        "failed to get user info for 1 to fill LID cache: info query returned status 500: internal-server-error",
        "whatsapp_unavailable",
        "retry",
    ),
    ("message recipient must be a user JID with no device part", "unsupported_by_engine", "failed"),
    ("can't send message to unknown server broadcast", "unsupported_by_engine", "failed"),
    ("failed to marshal message: proto: invalid UTF-8", "unsupported_by_engine", "failed"),
    ("failed to encrypt group message to send 3EB0 to 1@g.us: no sender key", "not_encrypted", "retry"),
    ("failed to prefetch sessions: database is locked", "not_encrypted", "retry"),
    ("timed out waiting for message send response", "no_acknowledgement", "doubt"),
    ("websocket disconnected before message send returned response", "no_acknowledgement", "doubt"),
    ("websocket disconnected before message send (retry) returned response", "no_acknowledgement", "doubt"),
    ("websocket not connected", "no_acknowledgement", "doubt"),
    ("info query timed out", "no_answer", "retry"),
    ("websocket disconnected before info query returned response", "offline", "retry"),
]


@pytest.mark.parametrize(("text", "code", "outcome"), TEXTS)
def test_what_the_library_says_has_a_meaning(text: str, code: str, outcome: str) -> None:
    failure = failure_of(text)
    assert (failure.code, failure.outcome) == (code, outcome)
    assert failure.detail.endswith(".")


def test_a_refusal_names_its_number() -> None:
    assert failure_of("server returned error 479").detail == "WhatsApp refused the message (code 479)."


def test_every_row_of_the_table_is_tried() -> None:
    firsts = {next(rule for rule in RULES if re.search(rule.pattern, text, re.DOTALL)) for text, _, _ in TEXTS}
    assert firsts == set(RULES)


def test_every_row_names_a_code_and_an_outcome_that_are_explained() -> None:
    assert {rule.code for rule in RULES} <= CODES.keys()
    assert {rule.outcome for rule in RULES} <= OUTCOMES.keys()


def test_what_may_have_left_is_never_called_retryable() -> None:
    assert not any(retryable(rule.code) for rule in RULES if rule.outcome == "doubt")
    assert not any(retryable(code) for code in ("worker_lost", "engine_error", "something_new"))
    assert retryable("cold_contact_refused")


@given(st.text(max_size=1000))
def test_an_unknown_text_is_a_doubt_and_fits_its_column(text: str) -> None:
    failure = failure_of(f"~{text}~")
    assert failure.outcome in OUTCOMES
    assert len(failure.code) <= 40
    assert len(failure.detail) <= 500
    if not any(re.search(rule.pattern, text) for rule in RULES):
        assert failure.outcome == "doubt"
