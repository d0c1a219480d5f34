from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.actor import Actor
from audit.services import record
from broadcasts import ending, importing
from broadcasts.importing import Report, Row
from broadcasts.models import Broadcast, Sender
from broadcasts.selectors import one_broadcast_data
from broadcasts.states import BY_USER, State, before
from config.api.problems import Problem, invalid
from instances import access as instance_access
from instances.models import Instance
from webhooks import events


def told(broadcast: Broadcast, verb: str) -> events.Draft:
    """The event of a change of state, to be appended in its transaction; a single instance's own if there is one."""
    data = one_broadcast_data(broadcast)
    instance_id = data["instances"][0] if len(data["instances"]) == 1 else None
    return events.Draft(broadcast.organization_id, instance_id, broadcast.network, f"broadcast.{verb}", data)


def _record(broadcast: Broadcast, verb: str, **changes: Any) -> None:
    record(f"broadcast:{verb}", organization_id=broadcast.organization_id, subject=broadcast.id, changes=changes)


def _instances(actor: Actor, instance_ids: Sequence[str]) -> list[Instance]:
    """Raises Problem as `instances.access.instance`, and ``invalid_request`` for those of two networks."""
    found = [instance_access.instance(actor, instance_id) for instance_id in dict.fromkeys(instance_ids)]
    if len({instance.network for instance in found}) > 1:
        raise invalid("/instances", "network", "All instances have to be of one network.")
    return found


@transaction.atomic
def create(
    *,
    actor: Actor,
    instances: Sequence[str],
    message: dict[str, Any],
    template_id: str | None = None,
    start_at: datetime | None = None,
    **columns: Any,
) -> Broadcast:
    """A draft without recipients. ``message`` has been checked. Raises Problem as `instances.access.instance`."""
    found = _instances(actor, instances)
    broadcast = Broadcast.objects.create(
        organization_id=actor.organization_id,
        network=found[0].network,
        message=message,
        template_id=template_id,
        start_at=start_at,
        **columns,
    )
    Sender.objects.bulk_create(Sender(broadcast=broadcast, instance=instance) for instance in found)
    _record(broadcast, "created")
    return broadcast


def create_and_start(
    *, actor: Actor, message: dict[str, Any], rows: Iterable[Row], **options: Any
) -> tuple[Broadcast, Report]:
    """A broadcast that is under way, or waits for its time; all of it or nothing.

    Raises Problem as `create` does, and ``no_recipients`` if none of them is accepted.
    """
    report = Report()
    chunks = list(importing.judged(message, rows, report))
    with transaction.atomic():
        broadcast = create(actor=actor, message=message, **options)
        for chunk in chunks:
            importing.keep(broadcast, chunk, report)
        importing.count(broadcast, report)
        if not report.accepted:
            raise Problem("no_recipients", errors=report.errors, counts=report.counts())
        return start(broadcast=broadcast), report


def add_recipients(*, broadcast: Broadcast, rows: Iterable[Row]) -> Report:
    """Take recipients into a draft, a thousand in a transaction; what was taken in stays when a later one fails.

    Raises Problem ``broadcast_started`` or ``invalid_request``. To be repeated at will: nobody is taken in twice.
    """
    report = Report()
    for chunk in importing.judged(broadcast.message, rows, report):
        importing.keep(broadcast, chunk, report)
    importing.count(broadcast, report)
    return report


@transaction.atomic
def start(*, broadcast: Broadcast) -> Broadcast:
    """Let a draft run, or wait for its ``start_at``. Raises Problem ``broadcast_started`` or ``no_recipients``."""
    locked = _locked(broadcast)
    if locked.state != State.DRAFT:
        raise Problem("broadcast_started")
    if not locked.accepted:
        raise Problem("no_recipients")
    _go(locked)
    _record(locked, "started")
    return locked


def _locked(broadcast: Broadcast) -> Broadcast:
    return Broadcast.objects.select_for_update(no_key=True).get(pk=broadcast.pk)


def _go(broadcast: Broadcast) -> None:
    """Make a locked broadcast run, now or at its time."""
    now = timezone.now()
    later = broadcast.start_at is not None and broadcast.start_at > now
    broadcast.state = State.SCHEDULED if later else State.RUNNING
    broadcast.next_at = broadcast.start_at if later else now
    broadcast.reason = None
    first = not later and broadcast.started_at is None
    if first:
        broadcast.started_at = now
    broadcast.turn += 1
    broadcast.save(update_fields=["state", "next_at", "reason", "started_at", "turn"])
    if not later:
        events.append([told(broadcast, "started" if first else "resumed")])


@transaction.atomic
def pause(*, broadcast: Broadcast) -> Broadcast:
    """Send nothing more until it is resumed. Idempotent. Raises Problem ``broadcast_not_running``."""
    locked = _locked(broadcast)
    if locked.state == State.PAUSED and locked.reason == BY_USER:
        return locked
    if locked.state not in (State.PAUSED, *before(State.PAUSED)):
        raise Problem("broadcast_not_running", f"The broadcast is {locked.state}.", state=locked.state)
    set_state(locked, State.PAUSED, reason=BY_USER, next_at=None)
    events.append([told(locked, "paused")])
    _record(locked, "paused")
    return locked


def set_state(broadcast: Broadcast, state: str, **columns: Any) -> None:
    """Write a state onto a locked broadcast; turns that were begun before come to nothing."""
    values = {"state": state, "turn": broadcast.turn + 1, **columns}
    for name, value in values.items():
        setattr(broadcast, name, value)
    broadcast.save(update_fields=list(values))


@transaction.atomic
def resume(*, broadcast: Broadcast) -> Broadcast:
    """Go on. Idempotent. Raises Problem ``broadcast_not_running`` for one that is a draft or has ended."""
    locked = _locked(broadcast)
    if locked.state in (State.RUNNING, State.SCHEDULED):
        return locked
    if locked.state != State.PAUSED:
        raise Problem("broadcast_not_running", f"The broadcast is {locked.state}.", state=locked.state)
    _go(locked)
    _record(locked, "resumed")
    return locked


def cancel(*, broadcast: Broadcast) -> Broadcast:
    """End it: nothing more is accepted, and what waits in the lanes is cancelled. Idempotent.

    Raises Problem ``broadcast_not_running`` for one that is completed. What a crash leaves undone, the feeder does.
    """
    with transaction.atomic():
        locked = _locked(broadcast)
        if locked.state == State.COMPLETED:
            raise Problem("broadcast_not_running", f"The broadcast is {locked.state}.", state=locked.state)
        _end(locked)
    ending.clear(locked)
    return locked


def _end(locked: Broadcast) -> None:
    if locked.state != State.CANCELLED:
        now = timezone.now()
        set_state(locked, State.CANCELLED, reason=None, next_at=now, ended_at=now)
        events.append([told(locked, "cancelled")])
        _record(locked, "cancelled")


def withdraw(instance: Instance) -> bool:
    """Take a deleted instance out of a broadcast, which is cancelled if it has no other; True if there may be more.

    In the caller's transaction; what waits in the lanes the feeder cancels.
    """
    sender = Sender.objects.filter(instance=instance).select_related("broadcast").first()
    if sender is None:
        return False
    broadcast = _locked(sender.broadcast)
    sender.delete()
    if broadcast.state != State.COMPLETED and not broadcast.senders.exists():
        _end(broadcast)
    return True
