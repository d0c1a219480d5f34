"""What the client library's error texts mean; they are all it gives."""

from __future__ import annotations

import re
from typing import NamedTuple


class SendFailed(Exception):
    """A send that the client library gave up; the text is all it says."""


OFFLINE = "offline"  # no attempt at all: it says nothing about the message


class Failure(NamedTuple):
    code: str
    detail: str
    outcome: str  # "failed": final; "retry": it has not left; "doubt": it may have left


_OFFLINE = Failure(OFFLINE, "The number was offline.", "retry")
_NO_ANSWER = Failure("no_answer", "WhatsApp did not answer.", "retry")
_NO_ACK = Failure("no_acknowledgement", "WhatsApp did not confirm the message.", "doubt")
_TABLE: dict[str, Failure] = {
    r"no LID found for": Failure("not_on_whatsapp", "The recipient is not on WhatsApp.", "failed"),
    r"server returned error (463)": Failure("cold_contact_refused", "WhatsApp refuses new contacts.", "failed"),
    r"server returned error (\d+)": Failure("refused_by_whatsapp", "WhatsApp refused the message.", "failed"),
    r"failed to get group members": Failure("group_unavailable", "The group cannot be read.", "failed"),
    r"client is nil|websocket not connected|failed to send message node": _OFFLINE,
    r"the store doesn't contain a device JID": _OFFLINE,
    r"failed to get (?:user info|device list)|info query timed out": _NO_ANSWER,
    r"timed out waiting for message send response|websocket disconnected before": _NO_ACK,
}
_UNKNOWN = Failure("engine_error", "The WhatsApp engine failed.", "doubt")


def failure_of(text: str) -> Failure:
    """The meaning of an error text; an unknown one is a doubt, which the store settles."""
    for pattern, failure in _TABLE.items():
        if match := re.search(pattern, text):
            numbered = f"{failure.detail[:-1]} (code {match[1]})." if match.groups() else failure.detail
            return failure._replace(detail=numbered)
    return _UNKNOWN._replace(detail=f"The WhatsApp engine failed: {text[:200]}")
