"""What goes with a deleted instance: messages that wait fail, then all that is kept of it is deleted."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from instances.models import Instance
from messaging.contacts.services import delete_messages
from messaging.models import Call, Chat, Contact, EarlyChange, EarlyReceipt, Group, HistoryPart, Message
from messaging.progress import report
from messaging.sending.failing import fail
from messaging.states import Status, below
from webhooks import events

_STEP = 200
_KEPT = (Call, Chat, Contact, EarlyChange, EarlyReceipt, Group, HistoryPart)


def clear(instance: Instance) -> bool:
    """Do a step, in the caller's transaction; True if there may be more."""
    waiting = Message.objects.filter(instance=instance, status__in=below(Status.CANCELLED)).order_by("id")
    if some := list(waiting[:_STEP]):
        failed = fail(some, instance, "instance_deleted", "The instance was deleted.")
        events.append([report(message, instance) for message in failed])
        return True
    if ids := list(Message.objects.filter(instance=instance).order_by("pk").values_list("pk", flat=True)[:_STEP]):
        delete_messages(ids)
        return True
    for model in _KEPT:
        rows: QuerySet[Any] = model._default_manager.filter(instance=instance)
        if keys := list(rows.values_list("pk", flat=True)[:_STEP]):
            rows.filter(pk__in=keys).delete()
            return True
    return False
