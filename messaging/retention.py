"""Deletes messages that are older than their organization's plan keeps them, in small steps."""

from __future__ import annotations

import time
from datetime import timedelta

from django.utils import timezone

from config.ids import first_id
from messaging.models import Chat, Message
from messaging.states import UNFINISHED
from subscriptions.selectors import retentions

_SECONDS = 20.0  # of one run
_STEP = 500


def purge(seconds: float = _SECONDS) -> bool:
    """Delete what is too old, each step in a transaction of its own; True if there is more.

    What is still to be sent stays. Files go when nothing names them any more, with the garbage collection of media.
    """
    deadline = time.monotonic() + seconds
    for organization_id, days in retentions():
        while _step(organization_id, days):
            if time.monotonic() > deadline:
                return True
    return False


def _step(organization_id: str, days: int) -> int:
    """Returns how many rows were deleted."""
    end = timezone.now() - timedelta(days=days)
    # Ids begin with their time, so the index of the list finds the old ones without another.
    old = Message.objects.filter(organization_id=organization_id, pk__lt=first_id(end, "msg"))
    old = old.exclude(status__in=UNFINISHED).order_by("pk")
    ids = list(old.values_list("pk", flat=True)[:_STEP])
    if ids:
        return Message.objects.filter(pk__in=ids).delete()[0]
    chats = Chat.objects.filter(instance__organization_id=organization_id, last_at__lt=end)
    quiet = list(chats.values_list("pk", flat=True)[:_STEP])
    return Chat.objects.filter(pk__in=quiet, last_at__lt=end).delete()[0] if quiet else 0
