"""The states of a message and the ways between them, as data. docs/messages.md is drawn from this file."""

from __future__ import annotations

from functools import cache

from django.db import models


class Status(models.TextChoices):
    SCHEDULED = "scheduled"
    PREPARING = "preparing"
    HELD = "held"
    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    PLAYED = "played"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNCONFIRMED = "unconfirmed"
    RECEIVED = "received"


class Origin(models.TextChoices):
    """Who had an outbound message written."""

    API = "api"
    BROADCAST = "broadcast"
    CALL = "call"  # the text after a call was rejected
    PHONE = "phone"


# What a message can be; some are only received.
TYPES = (
    "text", "image", "video", "audio", "document", "sticker", "location", "live_location", "contacts", "poll",
    "reaction", "edit", "revoke", "forward", "album", "group_invite", "event", "pin", "unsupported", "undecryptable",
    "poll_vote", "event_response",
)  # fmt: skip


class Direction(models.TextChoices):
    OUTBOUND = "outbound"
    INBOUND = "inbound"


# Receipts come in any order; a status only moves along this line.
PROGRESS = (Status.SENDING, Status.UNCONFIRMED, Status.SENT, Status.DELIVERED, Status.READ, Status.PLAYED)

# Statuses in which few messages are at any time, or end.
RARE = ("cancelled", "failed", "held", "preparing", "scheduled", "unconfirmed")

# Types of messages that change or answer another one and are no part of the conversation themselves.
CHANGES = frozenset({"reaction", "edit", "revoke", "poll_vote", "event_response", "pin"})
# Never unread: these, and an album itself, whose items are messages of their own.
UNCOUNTED = CHANGES | {"album"}

# Statuses of messages that wait for us.
UNFINISHED = ("held", "preparing", "queued", "scheduled", "sending")

TRANSITIONS: dict[str, frozenset[str]] = {
    Status.SCHEDULED: frozenset({Status.PREPARING, Status.QUEUED, Status.CANCELLED, Status.FAILED}),
    Status.PREPARING: frozenset({Status.QUEUED, Status.CANCELLED, Status.FAILED}),
    Status.HELD: frozenset({Status.QUEUED, Status.CANCELLED, Status.FAILED}),
    Status.QUEUED: frozenset({Status.SENDING, Status.HELD, Status.CANCELLED, Status.FAILED}),
    Status.SENDING: frozenset({Status.QUEUED, Status.HELD, Status.FAILED, *PROGRESS[1:]}),
    **{status: frozenset(PROGRESS[place + 1 :]) for place, status in enumerate(PROGRESS) if place > 0},
    Status.FAILED: frozenset(),
    Status.CANCELLED: frozenset(),
    Status.RECEIVED: frozenset(),
}


@cache
def below(status: str) -> tuple[str, ...]:
    """The statuses from which a message may move to this one."""
    return tuple(before for before, after in TRANSITIONS.items() if status in after)
