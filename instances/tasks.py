from __future__ import annotations

import time
from typing import Any

from celery import shared_task
from django.db.models.functions import Now

from instances import history, linking, removal, services
from instances.holding import current
from instances.holding.commands import Command
from instances.models import Instance
from instances.states import Wanted


@shared_task
def wake(instance_ids: list[str]) -> None:
    """Have this session worker look at these instances, and for numbers to claim."""
    if current.holder is not None:
        current.holder.wake(instance_ids)


@shared_task
def command(call_id: str, instance_id: str, name: str, arguments: dict[str, Any], seconds: float) -> None:
    """Have this session worker run a live command for an instance; nobody waits for it after so many seconds."""
    if current.holder is not None:
        current.holder.command(instance_id, Command(call_id, name, arguments, time.monotonic() + seconds))


@shared_task
def sweep() -> None:
    """Say of numbers whose worker went away that they are not connected."""
    orphans = Instance.objects.filter(wanted=Wanted.CONNECTED, lease_until__lt=Now())
    for instance_id in orphans.values_list("pk", flat=True)[:500]:
        services.mark_orphaned(instance_id=instance_id)


@shared_task
def remove(instance_id: str) -> None:
    """Go on with clearing a deleted instance away; in another task while there is more."""
    if removal.go_on(instance_id=instance_id):
        remove.delay(instance_id)


@shared_task
def sweep_removals() -> None:
    """Go on with deleted instances whose task was lost, or that waited for a session worker."""
    for instance_id in removal.unfinished():
        remove.delay(instance_id)


@shared_task
def prune() -> None:
    """Drop the old history of connections, and link pages that have ended."""
    history.prune()
    linking.prune()
