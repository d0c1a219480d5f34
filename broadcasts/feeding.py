"""Feeding the lanes: the next recipients of every running broadcast become messages, a few at a time, in turns.

The database is the truth. A turn reads what is next, makes the messages, and commits them together with the rows of
their recipients and the broadcast's ``turn``, which it compares: of two feeders that took the same turn one commits.
So a crash anywhere, or a second feeder, neither loses nor doubles a message.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from django.db import connection, transaction
from django.db.models import Count, F, Q
from django.utils import timezone

from accounts.actor import Actor
from broadcasts import ending, opt_outs, services, templating
from broadcasts.importing import OPTED_OUT
from broadcasts.models import Broadcast, Recipient
from broadcasts.quiet_hours import QuietHours
from broadcasts.states import Progress, State
from config.api.idempotency import Answer
from config.api.problems import Problem
from instances.whatsapp.jids import parse
from messaging.accepting.addressing import check_can_send
from messaging.accepting.orders import Outgoing, Verdict
from messaging.models import Message
from messaging.services import accept
from messaging.states import Origin, Status
from webhooks import events

log = structlog.get_logger(__name__)
WINDOW = 40  # a lane with so many unsent messages gets no more, so that a pause or a cancel leaves few behind
BATCH = 20
_ROUND = 500  # broadcasts
_PAUSE_SECONDS = 0.03  # between two looks when nothing is due at this moment
_FULL = timedelta(seconds=0.1)  # until the next look at lanes that are full
_ENDING, _HELD = timedelta(seconds=1), timedelta(seconds=15)
_RETRY = timedelta(seconds=5)
_LOOK_AGAIN = timedelta(seconds=60)  # during quiet hours, whose end moves when clocks are changed
_CATCH_UP = timedelta(seconds=2)  # what a paced broadcast may be behind; more is never made up for
# Refusals that pass: the recipient's turn comes again.
_FOR_NOW = frozenset(
    {"quota_exceeded", "subscription_expired", "instance_not_linked", "instance_stopped", "instance_unavailable"}
)


# By hand: the ORM's bulk update takes longer to build than all the rest of a turn.
_RESULT = (
    f"UPDATE {Recipient._meta.db_table} SET state = %s, message_id = %s, error_code = %s, error_detail = %s "  # noqa: S608
    "WHERE id = %s"
)


class Overtaken(Exception):
    """Somebody else had this turn, or the broadcast was paused or cancelled meanwhile."""


def run(seconds: float) -> None:
    """Feed what is due, in turns, until nothing is or the time is over."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if turns():
            continue
        if not _due(timezone.now() + timedelta(seconds=left)).exists():
            return
        time.sleep(_PAUSE_SECONDS)


def turns() -> int:
    """A turn for each broadcast that is due; how much was done."""
    now = timezone.now()
    return sum(_turn_of(broadcast, now) for broadcast in _due(now)[:_ROUND])


def _due(now: datetime) -> Any:
    """Longest waiting first; each turn puts a broadcast to the end."""
    rows = Broadcast.objects.filter(next_at__lte=now, organization__suspended_at=None)
    return rows.order_by("next_at").prefetch_related("senders__instance")


def _turn_of(broadcast: Broadcast, now: datetime) -> int:
    """One turn; how much was done. A broadcast that fails does not stop the others."""
    try:
        return _TURNS[broadcast.state](broadcast, now)
    except Overtaken:
        return 0
    except Exception:
        log.exception("feeding_failed", broadcast=broadcast.pk)
        _mine(broadcast).update(next_at=now + _RETRY)
        return 0


def _mine(broadcast: Broadcast) -> Any:
    return Broadcast.objects.filter(pk=broadcast.pk, turn=broadcast.turn)


def _wait(broadcast: Broadcast, until: datetime) -> int:
    _mine(broadcast).update(next_at=until)
    return 0


@transaction.atomic
def _begin(broadcast: Broadcast, now: datetime) -> int:
    columns = {"started_at": now} if broadcast.started_at is None else {}
    _change(broadcast, "started", State.RUNNING, next_at=now, **columns)
    return 1


def _clear(broadcast: Broadcast, now: datetime) -> int:
    ending.clear(broadcast)
    return _wait(broadcast, now + _ENDING) if ending.unsent(broadcast).exists() else 0


def _change(broadcast: Broadcast, verb: str, state: str, **columns: Any) -> None:
    """Change the state if this turn is still ours, and tell of it. Raises Overtaken."""
    columns = {"reason": None, **columns}
    if not _mine(broadcast).update(state=state, turn=F("turn") + 1, **columns):
        raise Overtaken
    for name, value in {"state": state, "turn": broadcast.turn + 1, **columns}.items():
        setattr(broadcast, name, value)
    events.append([services.told(broadcast, verb)])


@transaction.atomic
def _pause(broadcast: Broadcast, problem: Problem, now: datetime) -> int:
    """Wait until what refuses the messages has passed; somebody is told once."""
    again = now + _RETRY
    if (broadcast.state, broadcast.reason) == (State.PAUSED, problem.code):
        return _wait(broadcast, again)
    _change(broadcast, "paused", State.PAUSED, reason=problem.code, next_at=again)
    return 0


def _feed(broadcast: Broadcast, now: datetime) -> int:
    """Accept the next messages of a running broadcast, or of one that is paused until a refusal has passed."""
    if broadcast.quiet_hours and (end := QuietHours.of(broadcast.quiet_hours).ends_after(now)):
        return _wait(broadcast, min(end, now + _LOOK_AGAIN))
    allowed = _allowance(broadcast, now)
    rows = list(Recipient.objects.filter(broadcast=broadcast, state=Progress.PENDING).order_by("pk")[:allowed])
    if not rows:
        return _finish(broadcast, now)
    try:
        room = _room(broadcast)
    except Problem as problem:
        return _pause(broadcast, problem, now)
    rows = rows[: sum(room.values())]
    if not rows:
        return _wait(broadcast, now + _FULL)  # behind the others, who may have lanes with room
    return _send(broadcast, rows, room, now)


def _allowance(broadcast: Broadcast, now: datetime) -> int:
    if broadcast.per_minute is None:
        return BATCH
    assert broadcast.next_at is not None
    late = min(now - broadcast.next_at, _CATCH_UP)
    return min(BATCH, 1 + int(late / _gap(broadcast)))


def _gap(broadcast: Broadcast) -> timedelta:
    return timedelta(minutes=1) / (broadcast.per_minute or 1)


@transaction.atomic
def _finish(broadcast: Broadcast, now: datetime) -> int:
    """End it when the last message has left its lane."""
    states = set(ending.unsent(broadcast).values_list("state", flat=True).distinct())
    if states:
        return _wait(broadcast, now + (_HELD if states <= {Status.HELD, Status.PREPARING} else _ENDING))
    _change(broadcast, "completed", State.COMPLETED, next_at=None, ended_at=now)
    return 1


def _room(broadcast: Broadcast) -> dict[str, int]:
    """How many messages each of its instances that can send may get now. Raises Problem if none can."""
    able, refusal = [], Problem("instance_unavailable", "The broadcast has no instance any more.")
    for instance in broadcast.instances:
        try:
            check_can_send(instance)
            able.append(instance)
        except Problem as problem:
            refusal = problem
    if not able:
        raise refusal
    waiting = _unsent([instance.pk for instance in able])
    return {instance.pk: max(0, WINDOW - waiting.get(instance.pk, 0)) for instance in able}


def _unsent(instance_ids: Collection[str]) -> Mapping[str, int]:
    """What waits in the lanes: everything that is queued, so that others' messages go before, and our own besides."""
    in_lane = Q(status__in=[Status.QUEUED, Status.SENDING])
    ours = Q(status__in=[Status.PREPARING, Status.HELD], origin=Origin.BROADCAST)
    rows = Message.objects.filter(in_lane | ours, instance_id__in=instance_ids).order_by().values_list("instance_id")
    return dict(rows.annotate(Count("pk")))


def _send(broadcast: Broadcast, rows: Sequence[Recipient], room: Mapping[str, int], now: datetime) -> int:
    out = opt_outs.among(broadcast.organization_id, broadcast.network, (parse(row.to) for row in rows))
    skipped = [row for row in rows if parse(row.to) in out]
    rows = [row for row in rows if parse(row.to) not in out]
    outgoing = [_outgoing(broadcast, row, place) for row, place in zip(rows, _spread(room), strict=False)]
    refusals: list[Problem] = []
    keep = partial(_keep, broadcast, rows, skipped, now, refusals)
    actor = Actor(broadcast.organization_id, "user", broadcast.pk, frozenset())
    accept(actor=actor, outgoing=outgoing, answer_of=lambda verdicts: Answer(202, None), within=keep)
    broadcast.turn += 1
    if refusals:
        return _pause(broadcast, refusals[0], now)
    if broadcast.state == State.PAUSED:
        _resume(broadcast)
    return len(rows) + len(skipped)


@transaction.atomic
def _resume(broadcast: Broadcast) -> None:
    _change(broadcast, "resumed", State.RUNNING)


def _spread(room: Mapping[str, int]) -> list[str]:
    """Instance after instance in turns, each as often as it has room."""
    rounds = range(max(room.values()))
    return [instance_id for number in rounds for instance_id, free in room.items() if number < free]


def _keep(
    broadcast: Broadcast,
    rows: Sequence[Recipient],
    skipped: Sequence[Recipient],
    now: datetime,
    refusals: list[Problem],
    verdicts: list[Verdict],
) -> None:
    """Write onto the recipients what became of them, in the transaction of their messages. Raises Overtaken."""
    refusals.clear()
    done = []
    for row, verdict in zip(rows, verdicts, strict=True):
        if not isinstance(verdict, Problem):
            row.state, row.message_id = verdict["status"], verdict["id"]
            done.append(row)
        elif verdict.code in _FOR_NOW:
            refusals.append(verdict)
        else:
            row.state, row.error_code, row.error_detail = Progress.FAILED, verdict.code, verdict.detail[:500]
            done.append(row)
    mine = _mine(broadcast).filter(state=broadcast.state)
    if not mine.update(turn=F("turn") + 1, next_at=_next_at(broadcast, len(done), now)):
        raise Overtaken
    for row in skipped:
        row.state, row.error_code = Progress.SKIPPED, OPTED_OUT
    _write([*done, *skipped])


def _write(rows: Sequence[Recipient]) -> None:
    key, message = Recipient._meta.pk, Recipient._meta.get_field("message")
    values = [
        (
            str(row.state),
            message.get_db_prep_value(row.message_id, connection),
            row.error_code,
            row.error_detail,
            key.get_db_prep_value(row.pk, connection),
        )
        for row in rows
    ]
    with connection.cursor() as cursor:
        cursor.executemany(_RESULT, values)


def _next_at(broadcast: Broadcast, sent: int, now: datetime) -> datetime:
    if broadcast.per_minute is None or broadcast.next_at is None:
        return now
    return max(broadcast.next_at, now - _CATCH_UP) + sent * _gap(broadcast)


def _outgoing(broadcast: Broadcast, row: Recipient, instance_id: str) -> Outgoing | Problem:
    try:
        rendered = templating.render(broadcast.message, row.variables)
        made = templating.outgoing(rendered, instance=instance_id, to=row.to)
    except templating.Missing as error:
        return Problem("invalid_request", str(error))
    except Problem as problem:
        return problem
    origin = Origin.BROADCAST.value
    items = tuple(item._replace(origin=origin) for item in made.items)
    return made._replace(client_ref=row.client_ref or row.pk, origin=origin, items=items)


_TURNS: dict[str, Callable[[Broadcast, datetime], int]] = {
    State.SCHEDULED: _begin,
    State.RUNNING: _feed,
    State.PAUSED: _feed,
    State.CANCELLED: _clear,
}
