"""The states of a broadcast and of its recipients, as data. docs/states.md is drawn from this file."""

from __future__ import annotations

from django.db import models

from messaging.states import Status


class State(models.TextChoices):
    DRAFT = "draft"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


TRANSITIONS: dict[str, frozenset[str]] = {
    State.DRAFT: frozenset({State.SCHEDULED, State.RUNNING, State.CANCELLED}),
    State.SCHEDULED: frozenset({State.RUNNING, State.PAUSED, State.CANCELLED}),
    State.RUNNING: frozenset({State.PAUSED, State.COMPLETED, State.CANCELLED}),
    State.PAUSED: frozenset({State.SCHEDULED, State.RUNNING, State.CANCELLED}),
    State.COMPLETED: frozenset(),
    State.CANCELLED: frozenset(),
}


def before(state: str) -> list[str]:
    """The states from which a broadcast may come into this one."""
    return [one for one, after in TRANSITIONS.items() if state in after]


BY_USER = "user"  # why a broadcast is paused when somebody asked for it; else a code of the problems


class Progress(models.TextChoices):
    """What has become of a recipient, as clients see it."""

    PENDING = "pending"
    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"
    UNCONFIRMED = "unconfirmed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


# What a recipient's row says: its own words before there is a message, then the message's status.
GROUPS: dict[str, tuple[str, ...]] = {
    Progress.PENDING: (Progress.PENDING,),
    Progress.QUEUED: (Status.SCHEDULED, Status.PREPARING, Status.HELD, Status.QUEUED, Status.SENDING),
    Progress.SENT: (Status.SENT,),
    Progress.DELIVERED: (Status.DELIVERED,),
    Progress.READ: (Status.READ, Status.PLAYED),
    Progress.FAILED: (Status.FAILED,),
    Progress.UNCONFIRMED: (Status.UNCONFIRMED,),
    Progress.CANCELLED: (Status.CANCELLED,),
    Progress.SKIPPED: (Progress.SKIPPED,),
}
PROGRESS_OF: dict[str, str] = {state: str(group) for group, states in GROUPS.items() for state in states}
UNSENT = GROUPS[Progress.QUEUED]
