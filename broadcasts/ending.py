"""What is left to do when a broadcast was cancelled: in small steps, after each of which a crash may come."""

from __future__ import annotations

from django.db.models import QuerySet

from broadcasts.models import Broadcast, Recipient
from broadcasts.states import UNSENT, Progress, State
from messaging.accepting.scheduling import cancel_waiting
from messaging.models import Message
from messaging.states import Status

_MESSAGES, _RECIPIENTS = 100, 5000


def clear(broadcast: Broadcast) -> None:
    """Cancel what waits in the lanes and mark who gets nothing. Idempotent, also when several do it at once.

    The broadcast has nothing more to do when the last message that was being sent has left its lane.
    """
    while _cancel_messages(broadcast):
        pass
    while _cancel_recipients(broadcast):
        pass
    if not unsent(broadcast).exists():
        Broadcast.objects.filter(pk=broadcast.pk, state=State.CANCELLED).update(next_at=None)


def unsent(broadcast: Broadcast) -> QuerySet[Recipient]:
    """Those whose message has not left its lane."""
    return Recipient.objects.filter(broadcast=broadcast, state__in=UNSENT)


def _cancel_messages(broadcast: Broadcast) -> bool:
    """True if there were as many as one step takes."""
    waiting = unsent(broadcast).exclude(state=Status.SENDING).order_by("pk").values_list("message_id", flat=True)
    ids = list(waiting[:_MESSAGES])
    rows = Message.objects.filter(pk__in=ids).select_related("instance").order_by("pk")
    return bool(cancel_waiting(messages=rows)) and len(ids) == _MESSAGES


def _cancel_recipients(broadcast: Broadcast) -> bool:
    pending = Recipient.objects.filter(broadcast=broadcast, state=Progress.PENDING)
    ids = list(pending.values_list("pk", flat=True)[:_RECIPIENTS])
    Recipient.objects.filter(pk__in=ids, state=Progress.PENDING).update(state=Progress.CANCELLED)
    return len(ids) == _RECIPIENTS
