"""Deleting an instance: gone for its tenant at once, then cleared away in steps that any crash may interrupt.

    deleted_at set  ->  a session worker removes the link and the keys  ->  rows of all floors  ->  the row itself

Why messages go and what stays: docs/decisions/0021-deleting-instances.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from instances import linking, wakeup
from instances.models import ConnectionChange, Instance
from instances.selectors import instance_data
from instances.services import change_state, dismiss, draft, locked, record_act
from instances.states import State, Wanted
from webhooks import events

_SECONDS = 20.0  # of one run
_STEP = 1000

# Higher floors put here what deletes some of their rows of an instance, in the caller's transaction and with the
# instance locked: True if there may be more. Called again until none has anything left.
clearing: list[Callable[[Instance], bool]] = []


@transaction.atomic
def delete(*, instance: Instance) -> None:
    """Take an instance away from its tenant: its place in the plan is free, nobody can use it.

    Its link at WhatsApp, its keys and its rows go in the background; then ``instance.deleted`` is told, as its last
    event. Raises Problem ``not_found`` for one that was deleted meanwhile.
    """
    instance = locked(instance)
    instance.deleted_at, instance.link_phone = timezone.now(), None
    instance.save(update_fields=["deleted_at", "link_phone"])
    linking.revoke(instance)
    record_act(instance, "deleted", name=instance.name, phone=instance.phone)
    if instance.linked:
        dismiss(instance, "deleted")
    else:
        events.append(change_state(instance, State.STOPPED, "deleted", wanted=Wanted.STOPPED))
        transaction.on_commit(lambda: wakeup.holder_of(instance.pk))
    transaction.on_commit(partial(wakeup.task, "instances.tasks.remove", instance.pk))


def unfinished() -> list[str]:
    """Instances that are still to be cleared away, oldest first."""
    rows = Instance.objects.filter(deleted_at__isnull=False).order_by("deleted_at")
    return list(rows.values_list("pk", flat=True)[:100])


def go_on(*, instance_id: str, seconds: float = _SECONDS) -> bool:
    """Clear away what can be by now, each step in a transaction of its own; True if there is more to do at once.

    May run more than once at a time, and again after it is done. Nothing is done while a worker holds the number, and
    the row of a linked one stays until a worker has removed the link.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not _step(instance_id):
            return False
    return True


@transaction.atomic
def _step(instance_id: str) -> bool:
    deleted = Instance.objects.select_for_update().filter(pk=instance_id, deleted_at__isnull=False)
    instance = deleted.first()
    if instance is None or deleted.filter(holder__isnull=False, lease_until__gt=Now()).exists():
        return False
    if any(clear(instance) for clear in clearing):
        return True
    if old := list(ConnectionChange.objects.filter(instance=instance).values_list("pk", flat=True)[:_STEP]):
        ConnectionChange.objects.filter(pk__in=old).delete()
        return True
    if instance.linked:
        return False
    events.append([draft(instance, "instance.deleted", instance_data(instance))])
    instance.delete()
    return False
