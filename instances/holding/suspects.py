"""Numbers that may have taken their worker down, so that one of them cannot take down the next one and the next.

A panic of the client library ends the process and does not say for which number. So each number that is being
connected is on probation, from its claim (and each reconnect) until it has been online for some seconds; the mark is in
the database before the library hears of the number. When a worker dies, what was on probation is suspected:

- once: nothing follows; all come back as fast as they can, since most workers die of something else;
- twice: a few of them are tried at a time;
- three times, or alone when its worker died: it is tried alone, first of all on a worker that holds nothing yet;
- a worker that dies of such a trial has named it: quarantine, longer each time.

Who passes its probation is suspected no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog
from django.conf import settings
from django.utils import timezone

from config import metrics
from config.timestamps import iso
from instances.models import Instance
from instances.services import change_state, draft
from instances.states import State, Wanted
from webhooks.events import Draft

log = structlog.get_logger(__name__)
PROBATION_SECONDS = 5.0  # online; what waited at WhatsApp has been delivered by then
LONGEST_TRIAL_SECONDS = 20.0  # a number that does not come online holds others back no longer
FEW, ALONE = 2, 3  # crashes from which on few are tried at a time, and one
PATIENCE = timedelta(seconds=15)  # for a worker that holds nothing: a dead one is back by then
_AT_ONCE = 8
_GROWTH, _LONGEST = 4, timedelta(hours=6)
_FORGOTTEN = timedelta(days=1)  # after a quarantine the next one is the first again


class Candidate(NamedTuple):
    """A free number that is wanted."""

    id: str
    crashes: int
    crashed_at: datetime | None

    @property
    def overdue(self) -> bool:
        """No worker was empty for so long that it is tried beside others."""
        return self.crashed_at is None or timezone.now() - self.crashed_at >= PATIENCE


def admitted(free: Sequence[Candidate], held: int, on_trial: Sequence[int]) -> list[str]:
    """Which of the free numbers a worker may take now that holds ``held`` and has these (their crashes) on trial."""
    if any(crashes >= ALONE for crashes in on_trial):
        return []
    alone = [one for one in free if one.crashes >= ALONE]
    if alone and (not held or (alone[0].overdue and not on_trial)):
        return [alone[0].id]
    few = _AT_ONCE - sum(crashes >= FEW for crashes in on_trial)
    taken = []
    for one in free:
        if one.crashes < FEW:
            taken.append(one.id)
        elif one.crashes < ALONE and few > 0:
            few -= 1
            taken.append(one.id)
    return taken


def suspect(instances: Sequence[Instance], *, proven: bool) -> list[Draft]:
    """Note that a worker died with these on probation; the rows are locked by the caller.

    ``proven``: its process is known to have ended; else it may only have been away. Returns the events.
    """
    drafts: list[Draft] = []
    for instance in instances:
        named = proven and len(instances) == 1
        if named and instance.crashes >= ALONE:
            drafts += _quarantine(instance)
        else:
            instance.crashes = ALONE if named else min(instance.crashes + 1, ALONE)
        instance.crashed_at = timezone.now()
        instance.save(update_fields=["crashes", "crashed_at", "quarantines", "quarantined_until"])
        log.warning("suspected", instance=instance.id, crashes=instance.crashes, among=len(instances))
    return drafts


def _quarantine(instance: Instance) -> list[Draft]:
    now, before = timezone.now(), instance.quarantined_until
    recent = before is not None and now - before < _FORGOTTEN
    instance.quarantines = instance.quarantines + 1 if recent else 1
    first = timedelta(seconds=settings.SESSION_QUARANTINE_SECONDS)
    instance.quarantined_until = until = now + min(_LONGEST, first * _GROWTH ** min(instance.quarantines - 1, 10))
    log.error("quarantined", instance=instance.id, times=instance.quarantines, until=iso(until))
    metrics.QUARANTINES.inc()
    drafts: list[Draft] = []
    if instance.wanted == Wanted.CONNECTED:
        drafts = change_state(instance, State.RECONNECTING, "quarantined", f"Until {iso(until)}.")
    return [*drafts, draft(instance, "instance.quarantined", {"until": iso(until), "times": instance.quarantines})]
