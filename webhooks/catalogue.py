"""Every event type there is, and the patterns by which listeners choose among them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

import msgspec

# Of the data of every type. New fields may come at any time; what breaks readers gets a number of its own.
VERSION = 1

TYPES: dict[str, str] = {
    "instance.created": "An instance was created.",
    "instance.updated": "The name or the settings of an instance were changed.",
    "instance.deleted": "An instance was deleted, and is cleared away; this is its last event.",
    "instance.state": "The state of an instance changed; `data` has the state and its reason.",
    "instance.connected": "An instance is connected to WhatsApp.",
    "instance.degraded": "WhatsApp no longer answered a connected instance; it is being connected anew.",
    "instance.quarantined": "Connecting an instance ended its worker several times; it is tried again after a time.",
    "instance.cold_hold": "WhatsApp refuses new contacts; messages to them are held until the time in `data`.",
    "instance.cold_hold_ended": "WhatsApp takes messages to new contacts again; what was held goes out.",
    "instance.qr": "A new QR code is there to be scanned.",
    "message.queued": "A message was accepted and waits in the lane of its instance.",
    "message.scheduled": "A message was accepted and waits for its time, or was given another one.",
    "message.preparing": "A message was accepted; its file is being fetched or made ready.",
    "message.held": "A message waits: WhatsApp lets the number write to no new contacts now.",
    "message.cancelled": "A message was cancelled before it was sent.",
    "message.sent": "WhatsApp's server acknowledged a message.",
    "message.delivered": "A message reached a device of the recipient.",
    "message.read": "The recipient read a message.",
    "message.played": "The recipient played a voice message.",
    "message.failed": "A message was not sent; `data` has the code.",
    "message.unconfirmed": "A message may or may not have been sent; a receipt can still settle it.",
    "broadcast.started": "A broadcast began to send.",
    "broadcast.paused": "A broadcast was paused, by somebody or by a refusal; `data` has the reason.",
    "broadcast.resumed": "A broadcast sends again.",
    "broadcast.completed": "The last message of a broadcast has left; receipts may still come.",
    "broadcast.cancelled": "A broadcast was cancelled.",
    "contact.opted_out": "Somebody wants no more broadcasts.",
    "contact.opted_in": "Somebody who wanted no broadcasts wants some again.",
    "message.received": "A message arrived; one that could not be decrypted, again when its content has come.",
    "message.reaction": "Somebody reacted to a message, or took that back; `data` is the reaction, which names it.",
    "message.edited": "A message was edited by its author; `data` is the edit, which names it.",
    "message.revoked": "A message was deleted for everybody; `data` is the deletion, which names it.",
    "message.poll_vote": "Somebody voted in a poll; `data` is the vote, which names it and replaces an earlier one.",
    "message.receipt": "A message to many was delivered to, read or played by one of them.",
    "history.synced": "A part of the phone's history was taken over; `data` has how far it is and what was new.",
    "chat.presence": "Somebody writes, records, or ceased to; it is not kept.",
    "contact.presence": "Somebody whose presence was asked for came online, or went.",
    "call.received": "Somebody calls; `data` has whether it rings, is being rejected, or was over before we knew.",
    "call.ended": "A call was rejected, or rings no more for another reason, which is in `data`.",
    "media.stored": "A file was fetched, from a received message or a link, and can be read.",
    "media.failed": "A file could not be fetched; `data` has the code.",
    "subscription.usage": "80 % or 100 % of the month's messages are used; `data` has the figures. It has no instance.",
    "webhook.failing": "A webhook endpoint has failed for an hour, a day or three days without one success.",
    "webhook.recovered": "A webhook endpoint of which `webhook.failing` was told answers again.",
    "webhook.disabled": "A webhook endpoint was disabled, but not by one of its users; `data` has the reason.",
    "webhook.test": "Somebody tries a webhook endpoint. No other endpoint gets it.",
}

# They have no instance. Those of broadcasts and opt-outs may have none either.
OF_ORGANIZATION = frozenset({"subscription.usage", *(name for name in TYPES if name.startswith("webhook."))})


class Content(NamedTuple):
    """What ``data`` of a type looks like, and an example of it."""

    shape: type[msgspec.Struct]
    example: Mapping[str, Any]


# Modules with an EVENTS: Content by type. Added at start-up by the floors that write the events, loaded when asked for.
sources: list[str] = []


@cache
def contents() -> Mapping[str, Content]:
    """Of every type, in the order of TYPES."""
    found: dict[str, Content] = {}
    for name in sources:
        found |= import_module(name).EVENTS
    return {type_: found[type_] for type_ in TYPES}


GROUPS = frozenset(f"{name.partition('.')[0]}.*" for name in TYPES)


def is_pattern(text: str) -> bool:
    """True for ``*``, the name of a type, and a group such as ``message.*``."""
    return text == "*" or text in TYPES or text in GROUPS


def matches(patterns: Iterable[str], type_: str) -> bool:
    """True if one of the patterns covers the type."""
    group = f"{type_.partition('.')[0]}.*"
    return any(pattern in ("*", type_, group) for pattern in patterns)
