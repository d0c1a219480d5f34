"""What the client library's error texts mean for a message. docs/failures.md is drawn from this file.

The texts are all that the library gives. They are matched from the top, so the place matters: an error before the
message was encrypted wraps the words of one that can also come after it has left.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class SendFailed(Exception):
    """A call that the client library gave up; the text is all it says."""


OFFLINE = "offline"  # no attempt at all: it says nothing about the message
COLD = "cold_contact_refused"

FAILED, RETRY, DOUBT, HOLD = "failed", "retry", "doubt", "hold"
OUTCOMES = {
    FAILED: "The message ends as `failed`.",
    RETRY: "It has not left, and is tried again by itself; after ten attempts it ends as `failed`.",
    DOUBT: "It may have left. The session's store tells: it is tried again, or becomes `unconfirmed`.",
    HOLD: "The message waits as `held` and goes out by itself.",
}


class Code(NamedTuple):
    """An ``error.code`` of a message. ``retryable``: the same message may be accepted later, sent anew by the user."""

    sentence: str
    retryable: bool


class Rule(NamedTuple):
    """An error text (a regular expression, searched for), its code and the outcome. The first group is a number."""

    pattern: str
    code: str
    outcome: str


class Failure(NamedTuple):
    """What an error means for one message; ``outcome`` is a key of OUTCOMES."""

    code: str
    detail: str
    outcome: str


CODES: dict[str, Code] = {
    "not_on_whatsapp": Code("The recipient is not on WhatsApp.", False),
    COLD: Code("WhatsApp does not let this number write to new contacts now.", True),
    "rate_limited_by_whatsapp": Code("WhatsApp asks for fewer messages.", True),
    "whatsapp_unavailable": Code("WhatsApp has a problem on its side.", True),
    "not_allowed_by_whatsapp": Code("WhatsApp does not allow the number to write there.", False),
    "refused_by_whatsapp": Code("WhatsApp refused the message.", False),
    "not_in_group": Code("The number is not a member of the group.", False),
    "group_not_found": Code("The group does not exist.", False),
    "group_unavailable": Code("The group cannot be read.", False),
    "group_changed": Code("The group has changed, and the engine knows its old form.", True),
    "message_too_large": Code("The message is larger than WhatsApp takes.", False),
    "unsupported_by_engine": Code("The WhatsApp engine cannot send this there.", False),
    "upload_failed": Code("The file could not be handed to WhatsApp.", True),
    "not_encrypted": Code("The WhatsApp engine could not encrypt the message.", True),
    OFFLINE: Code("The number was offline.", True),
    "no_answer": Code("WhatsApp did not answer.", True),
    "no_acknowledgement": Code("WhatsApp did not confirm the message; it may have arrived.", False),
    "worker_lost": Code("The worker ended while the message was being sent; it may have arrived.", False),
    "engine_error": Code("The WhatsApp engine failed; the message may have arrived.", False),
    "instance_deleted": Code("The instance was deleted before the message left.", False),
    "number_changed": Code("The instance was linked to another number before the message left.", True),
}

_LOST = r"websocket (?:not connected|disconnected)|frame socket is closed"
RULES: tuple[Rule, ...] = (
    # The file goes before the message.
    Rule(rf"^media upload: .*(?:client is nil|{_LOST})", OFFLINE, RETRY),
    Rule(r"^media upload: .*status code (413)", "message_too_large", FAILED),
    Rule(r"^media upload: ", "upload_failed", RETRY),
    # Before the message is encrypted: it has not left, whatever is wrapped.
    Rule(r"no LID found for", "not_on_whatsapp", FAILED),
    Rule(r"failed to get group members: you're not participating", "not_in_group", FAILED),
    Rule(r"failed to get group members: that group does not exist", "group_not_found", FAILED),
    Rule(rf"failed to get (?:group|broadcast list) members: .*(?:{_LOST})", OFFLINE, RETRY),
    Rule(r"failed to get (?:group|broadcast list) members: .*timed out", "no_answer", RETRY),
    Rule(r"failed to get (?:group|broadcast list) members: .*status (429)", "rate_limited_by_whatsapp", RETRY),
    Rule(r"failed to get (?:group|broadcast list) members: .*status (5\d\d)", "whatsapp_unavailable", RETRY),
    Rule(r"non-status broadcast lists", "unsupported_by_engine", FAILED),
    Rule(r"failed to get broadcast list members", "no_answer", RETRY),
    Rule(r"failed to get group members", "group_unavailable", FAILED),
    Rule(rf"failed to get (?:user info|device list|LID for PN).*(?:{_LOST})", OFFLINE, RETRY),
    Rule(r"failed to get (?:user info|device list|LID for PN).*status (429)", "rate_limited_by_whatsapp", RETRY),
    Rule(r"failed to get (?:user info|device list|LID for PN).*status (5\d\d)", "whatsapp_unavailable", RETRY),
    Rule(r"failed to get (?:user info|device list|LID for PN)", "no_answer", RETRY),
    Rule(r"message recipient must be a user JID|can't send message to unknown server", "unsupported_by_engine", FAILED),
    Rule(r"client is nil|the store doesn't contain a device JID", OFFLINE, RETRY),
    # While it is encrypted, and before its bytes are handed to the socket.
    Rule(r"failed to marshal (?:message|sender key|node)", "unsupported_by_engine", FAILED),
    Rule(r"failed to (?:create sender key|encrypt group message)", "not_encrypted", RETRY),
    Rule(r"failed to (?:fetch LID mappings|prefetch sessions|save cached sessions)", "not_encrypted", RETRY),
    Rule(r"failed to send message node: .*frame too large", "message_too_large", FAILED),
    # A stop of the client cancels the wait for the write, not the write itself.
    Rule(r"failed to send message node: .*context (?:canceled|deadline exceeded)", "no_acknowledgement", DOUBT),
    Rule(r"failed to send message node", OFFLINE, RETRY),
    # It was written to the socket. "websocket not connected" alone is the library's second attempt after a reconnect.
    Rule(r"server returned error (4(?:63|75))", COLD, HOLD),
    Rule(r"server returned error (421)", "group_changed", RETRY),
    Rule(r"server returned error (429)", "rate_limited_by_whatsapp", RETRY),
    Rule(r"server returned error (50\d)", "whatsapp_unavailable", RETRY),
    Rule(r"server returned error (40[13])", "not_allowed_by_whatsapp", FAILED),
    Rule(r"server returned error (\d+)", "refused_by_whatsapp", FAILED),
    Rule(r"timed out waiting for message send response", "no_acknowledgement", DOUBT),
    Rule(r"websocket disconnected before message send", "no_acknowledgement", DOUBT),
    Rule(r"^websocket not connected|^frame socket is closed", "no_acknowledgement", DOUBT),
    # Queries that come before the message, without words of their own.
    Rule(r"info query timed out", "no_answer", RETRY),
    Rule(r"websocket disconnected before info query", OFFLINE, RETRY),
)
_COMPILED = [(re.compile(rule.pattern, re.DOTALL), rule) for rule in RULES]


def retryable(code: str) -> bool:
    """Whether the user may send the message anew with a chance and without sending it twice."""
    return code in CODES and CODES[code].retryable


def failure_of(text: str) -> Failure:
    """The meaning of an error text; an unknown one is a doubt, which the store settles."""
    for pattern, rule in _COMPILED:
        if match := pattern.search(text):
            detail = CODES[rule.code].sentence
            if match.groups():
                detail = f"{detail[:-1]} (code {match[1]})."
            return Failure(rule.code, detail, rule.outcome)
    return Failure("engine_error", f"The WhatsApp engine failed: {text[:200]}", DOUBT)
