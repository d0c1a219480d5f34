"""Calls: that one comes, and that it rings no more."""

from __future__ import annotations

from typing import Any

from instances.whatsapp.jids import GROUP, Jid
from instances.whatsapp.news import CallOver, IncomingCall
from instances.whatsapp.protos import proto
from instances.whatsapp.translating.values import both, is_direct, jid_in, jid_of, moment, text, wa_id

# What WhatsApp gives as the reason; without one the caller hung up.
_REASONS = {
    "timeout": "missed",
    "accepted_elsewhere": "answered_elsewhere",
    "rejected_elsewhere": "rejected_elsewhere",
}


def offered(raw: bytes) -> IncomingCall | None:
    """Event 36."""
    event = proto.CallOffer.FromString(raw)
    return _incoming(event, video=any(one.Tag == "video" for one in event.data.Nodes), group=False)


def noticed(raw: bytes) -> IncomingCall | None:
    """Event 40, which comes for group calls in the place of an offer."""
    event = proto.CallOfferNotice.FromString(raw)
    return _incoming(event, video=event.media == "video", group=event.type == "group")


def _incoming(event: Any, *, video: bool, group: bool) -> IncomingCall | None:
    meta = event.basicCallMeta
    caller = jid_of(meta.callCreator if meta.callCreator.User else getattr(meta, "from")).bare
    if not meta.callID or not is_direct(caller):
        return None
    where = _group(event.data)
    return IncomingCall(
        wa_id(meta.callID),
        both(caller, jid_of(meta.callCreatorAlt).bare),
        text(caller, 60),
        moment(meta.timestamp),
        video,
        group or where is not None,
        text(where, 60) if where else None,
    )


def _group(data: Any) -> Jid | None:
    """The group that is called; the library hands it over among the attributes of the stanza alone."""
    for one in data.Attrs:
        if one.name == "group-jid":
            found = jid_of(one.jid) if one.HasField("jid") else jid_in(one.text)
            return found.bare if found is not None and found.server == GROUP else None
    return None


def terminated(raw: bytes) -> CallOver | None:
    """Event 42."""
    event = proto.CallTerminate.FromString(raw)
    meta = event.basicCallMeta
    if not meta.callID:
        return None
    return CallOver(wa_id(meta.callID), _REASONS.get(text(event.reason, 40), "hung_up"), moment(meta.timestamp))
