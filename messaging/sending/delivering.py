"""Hands a composed message to the engine."""

from __future__ import annotations

from instances.holding.attachments import Held
from instances.whatsapp.building import Outbound, build
from instances.whatsapp.files import NotSendable
from instances.whatsapp.news import Sent


def deliver(held: Held, outbound: Outbound) -> Sent:
    """Send and wait for the acknowledgement. Raises SendFailed, or NotSendable.

    The library itself chooses who gets a status, from its address book: for a chosen audience nobody else is in it
    meanwhile (docs/decisions/0012-audience-of-a-status.md).
    """
    people = outbound.attributes.get("audience")
    if not people:
        return held.send(outbound.to, build(outbound))
    if held.status_privacy() == "whitelist":
        detail = "The phone's privacy settings share status posts with chosen people only; they cannot be overruled."
        raise NotSendable("audience_not_possible", detail)
    held.store.narrow_audience([one["id"] for one in people])
    try:
        return held.send(outbound.to, build(outbound))
    finally:
        held.store.restore_contacts()
