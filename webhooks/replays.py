"""Delivers the events of a time range to one endpoint again, in small steps that can be interrupted at any line.

A step reads some events, writes or opens their deliveries, and moves the replay's cursor, all in one transaction whose
first write compares the cursor: of two workers with the same step one does nothing. A worker that dies leaves the claim
to run out, and the sweeper wakes another.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from celery import current_app
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from accounts.actor import Actor
from accounts.models import Organization
from config.api.problems import Problem, invalid
from config.ids import first_id
from webhooks import access, announcer, services
from webhooks.models import Counter, Delivery, Endpoint, Event, Replay
from webhooks.sending import require_enabled

MAX_RUNNING = 2  # of an organization
# So many may wait at an endpoint, however many events are to be replayed.
MAX_AHEAD = 5_000
STEP = 300
_CLAIM = timedelta(seconds=30)
_TURN_SECONDS = 15
_KEEP_ENDED = timedelta(days=30)
_MERCY = timedelta(minutes=5)  # who asks for all that is kept counts the days with another clock


@transaction.atomic
def start(
    *,
    actor: Actor,
    endpoint: Endpoint,
    kind: str,
    since: datetime,
    until: datetime | None = None,
    types: list[str] | None = None,
    instances: list[str] | None = None,
    chat_kinds: list[str] | None = None,
) -> Replay:
    """Have the events of a time range delivered to the endpoint again, beginning after the commit.

    ``until`` is now at the latest. Raises Problem ``webhook_disabled``, ``too_many_replays``, ``permission_denied`` for
    instances a key is not meant for, and ``invalid_request`` for a range that is empty or begins before what is kept.
    """
    now = timezone.now()
    until = min(until or now, now)
    if since >= until:
        raise invalid("/since", "empty_range", "The range must begin in the past, and before it ends.")
    if since < now - timedelta(days=settings.EVENTS_KEEP_DAYS) - _MERCY:
        raise invalid("/since", "too_long_ago", f"Events are kept for {settings.EVENTS_KEEP_DAYS} days.")
    if instances is not None:
        access.audible(actor, instances)
    require_enabled(endpoint.pk)
    # Of two that start at once one waits here, and then counts the other.
    Organization.objects.select_for_update(no_key=True).get(pk=endpoint.organization_id)
    if _running().filter(organization_id=endpoint.organization_id).count() >= MAX_RUNNING:
        raise Problem("too_many_replays", f"The limit is {MAX_RUNNING} at once.", limit=MAX_RUNNING)
    replay = Replay.objects.create(
        organization_id=endpoint.organization_id,
        endpoint=endpoint,
        kind=kind,
        since=since,
        until=until,
        types=types,
        instances=instances,
        chat_kinds=chat_kinds,
        cursor=first_id(since, "evt"),
    )
    changes = {"kind": kind, "replay": replay.pk}
    services.record_change(endpoint, "replayed", changes)
    transaction.on_commit(partial(wake, replay.pk), robust=True)
    return replay


@transaction.atomic
def cancel(*, replay: Replay) -> bool:
    """Put nothing more on its way; what already is stays. False if it has ended. Idempotent."""
    return _end(replay, Replay.State.CANCELLED)


def wake(replay_id: str) -> None:
    """Have a task worker go on with it."""
    current_app.send_task("webhooks.tasks.replay", (replay_id,))


def run(*, replay_id: str) -> bool:
    """Go on with a replay for some seconds, unless another worker does; True if it can go on at once.

    If too much of it waits at the endpoint already, the sweeper comes again.
    """
    now = timezone.now()
    free = Q(claimed_until=None) | Q(claimed_until__lt=now)
    if not _running().filter(free, pk=replay_id).update(claimed_until=now + _CLAIM):
        return False
    replay = Replay.objects.get(pk=replay_id)
    if replay.cursor == first_id(replay.since, "evt"):
        _wait_for_writers(replay.organization_id)
    deadline, more = time.monotonic() + _TURN_SECONDS, True
    while more and time.monotonic() < deadline:
        more = not _is_ahead(replay.endpoint_id) and step(replay_id=replay_id)
    _running().filter(pk=replay_id).update(claimed_until=None)
    return more


def _wait_for_writers(organization_id: str) -> None:
    """Until each transaction that has written events, but not committed them, has ended.

    It holds the counter of its stream until then. What it wrote while the endpoint was disabled is so not passed over.
    """
    for stream in Counter.objects.filter(organization_id=organization_id).values_list("pk", flat=True):
        with transaction.atomic():  # one at a time: nobody waits for us who need not
            Counter.objects.select_for_update(no_key=True).filter(pk=stream).first()


def _is_ahead(endpoint_id: str) -> bool:
    waiting = Delivery.objects.filter(endpoint_id=endpoint_id, replay=True, next_attempt_at__isnull=False)
    return waiting[:MAX_AHEAD].count() >= MAX_AHEAD


@transaction.atomic
def step(*, replay_id: str) -> bool:
    """Look at the next events, and put those on their way that are wanted; False if there is nothing more to do."""
    replay = Replay.objects.select_related("endpoint").get(pk=replay_id)
    endpoint = replay.endpoint
    if not endpoint.enabled:
        _end(replay, Replay.State.CANCELLED)
    if not endpoint.enabled or replay.state != Replay.State.RUNNING:
        return False
    rows = Event.objects.filter(
        organization_id=replay.organization_id, pk__gt=replay.cursor, pk__lt=first_id(replay.until, "evt")
    )
    events = list(rows.order_by("pk")[:STEP])
    if not events:
        _end(replay, Replay.State.COMPLETED)
        return False
    wanted = [event for event in events if endpoint.wants(event) and replay.wants(event)]
    claimed = {"cursor": events[-1].pk, "claimed_until": timezone.now() + _CLAIM}
    if not _running().filter(pk=replay.pk, cursor=replay.cursor).update(**claimed):
        return False
    created = _put_on_their_way(replay, wanted)
    _running().filter(pk=replay.pk).update(matched=F("matched") + len(wanted), created=F("created") + created)
    if created:
        transaction.on_commit(partial(announcer.announce, [], [endpoint.pk]), robust=True)
    return True


def _put_on_their_way(replay: Replay, events: Sequence[Event]) -> int:
    """Make the deliveries that are missing and open those that have ended; returns how many."""
    now, endpoint = timezone.now(), replay.endpoint
    there = Delivery.objects.filter(endpoint=endpoint, event__in=events)
    known = set(there.values_list("event_id", flat=True))
    missing = [
        Delivery(
            endpoint=endpoint,
            event=event,
            type=event.type,
            next_attempt_at=now,
            lane=event.lane if endpoint.ordering == Endpoint.Ordering.CHAT else "",
            sequence=event.sequence,
            replay=True,
        )
        for event in events
        if event.pk not in known
    ]
    # Another replay to the same endpoint may be making them just now.
    Delivery.objects.bulk_create(missing, ignore_conflicts=True)
    ended = there.filter(next_attempt_at__isnull=True)
    if replay.kind == Replay.Kind.RECOVER:
        ended = ended.filter(state=Delivery.State.FAILED)
    again = {"state": Delivery.State.PENDING, "next_attempt_at": now, "attempt_count": 0, "replay": True}
    return len(missing) + ended.update(**again)


def _end(replay: Replay, state: str) -> bool:
    ended = {"state": state, "ended_at": timezone.now(), "claimed_until": None}
    if not _running().filter(pk=replay.pk).update(**ended):
        return False
    for name, value in ended.items():
        setattr(replay, name, value)
    return True


def neglected(limit: int = 100) -> list[str]:
    """Replays that nobody goes on with."""
    free = Q(claimed_until=None) | Q(claimed_until__lt=timezone.now())
    return list(_running().filter(free).order_by("pk").values_list("pk", flat=True)[:limit])


def prune() -> None:
    """Drop those that ended long ago."""
    Replay.objects.filter(ended_at__lt=timezone.now() - _KEEP_ENDED).delete()


def _running() -> QuerySet[Replay]:
    return Replay.objects.filter(state=Replay.State.RUNNING)
