"""Accepting messages: many requests of a process share one transaction.

Whoever comes while a transaction is under way waits for its end; then one of those who waited commits for others
too. So a lone request is committed at once by its own thread, and a crowd shares few commits.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

import orjson
import structlog
from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from config import bulk, metrics
from config.api.problems import Problem
from config.ids import to_uuid
from config.timestamps import iso
from instances import wakeup
from instances.models import Instance
from instances.services import draft
from media import services as media
from messaging.accepting import kept
from messaging.accepting.judging import Candidate, judged
from messaging.accepting.line import LARGE, Line
from messaging.accepting.orders import Order, Verdict
from messaging.models import Message
from messaging.states import Direction, Status
from subscriptions import quota, usage
from subscriptions.quota import Granted, Threshold
from webhooks import events

log = structlog.get_logger(__name__)
_DEADLOCK, _UNIQUE = "40P01", "23505"
_COLUMNS = (
    "id", "organization", "instance", "direction", "status", "type", "content", "attributes", "media", "text", "chat",
    "chat_lid", "sender_name", "origin", "history", "secret", "client_ref", "unique_ref", "attempts", "send_at",
    "created_at",
)  # fmt: skip


class Acceptor:
    """One per process."""

    def __init__(self) -> None:
        self._line = Line()
        self._turn = threading.Lock()

    def accept(self, order: Order) -> None:
        """Commit what may be sent of an order; it is ``done`` then, and what was accepted is durable.

        If the database fails, its error is the order's, and nothing of the order was accepted.
        """
        self._line.add(order)
        if not self._turn.acquire(blocking=False):
            if connection.vendor == "postgresql" and not connection.in_atomic_block:
                connection.close()  # back to the pool: who has the turn may need it
            self._turn.acquire()
        try:
            while not order.done:
                self._run([])
        finally:
            self._turn.release()

    def _run(self, group: list[Order]) -> None:
        """Commit a group; an empty one is filled once it is our turn among the processes, so that it is large."""
        try:
            with transaction.atomic():
                if not group:
                    first = self._line.first()
                    if len(first.outgoing) < LARGE:
                        _line_up(first.actor.organization_id)
                    group += self._line.group(first)
                _commit(group)
        except kept.Raced:
            self._run(group)
        except Exception as error:
            group = group or self._line.group()
            if _state(error.__cause__) == _DEADLOCK:  # with a session worker that gives quota back
                self._run(group)
                return
            if len(group) > 1 and not isinstance(error, OperationalError | InterfaceError):
                # One bad order must not take the others with it.
                log.warning("group_split", error=repr(error), orders=len(group))
                for order in group:
                    self._run([order])
                return
            for order in group:
                order.error = error
        finally:
            for order in group:
                order.done = True


def _state(error: BaseException | None) -> str | None:
    """The SQLSTATE of a database's error. SQLite has no other processes to race with: its writers take turns."""
    return getattr(error, "sqlstate", None)


acceptor = Acceptor()


def _line_up(organization_id: str) -> None:
    """Wait until no other process accepts for the organization; it would be met at the quota's row anyway.

    On SQLite the beginning of a transaction has waited already.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [to_uuid(organization_id, "org").int % 2**63])


def _commit(group: list[Order]) -> None:
    fresh = kept.without_replays(group)
    # All that can be made before the quota is locked is made before; the moment too, so that what is given
    # back finds the same month.
    now = timezone.now()
    rows = judged(fresh, now)
    candidates = [one for row in rows for one in row if isinstance(one, Candidate)]
    wanted: Counter[tuple[str, str]] = Counter()
    for one in candidates:
        wanted[one.meter] += len(one.messages)
    grants = quota.reserve(wanted)
    accepted = _granted(candidates, grants, now)
    verdicts = [[one if isinstance(one, Problem) else one.refusal or one.data for one in row] for row in rows]
    for order, found in zip(fresh, verdicts, strict=True):
        _answer(order, found)
    kept.keep(fresh)
    for order, found in zip(fresh, verdicts, strict=True):
        if order.within is not None:
            order.within(found)
    _keep(accepted, _alerts(grants))


def _keep(accepted: list[Candidate], alerts: list[events.Draft]) -> None:
    """Write what was accepted: rows, counts, events; then the lanes are woken and the files made ready."""
    rows = [row for one in accepted for row in (one, *one.items)]
    try:
        bulk.insert(Message, _COLUMNS, [_row(one.message) for one in rows])
    except Exception as error:
        if any(one.ref for one in rows) and _UNIQUE in (_state(error), _state(error.__cause__)):
            raise kept.Raced from error  # another process took a client_ref just now
        raise
    usage.add((*one.meter, one.instance.id, one.message.type, Direction.OUTBOUND.value) for one in rows)
    events.append([*alerts, *(draft(one.instance, f"message.{one.message.status}", one.data) for one in rows)])
    _wake({one.instance.id: one.instance for one in rows}.values())
    for file in {one.unready for one in rows if one.unready is not None}:
        transaction.on_commit(partial(media.prepare, *file))
    if any(one.message.status == Status.PREPARING and one.message.type == "text" for one in rows):
        transaction.on_commit(partial(wakeup.task, "messaging.tasks.preview"))
    for type_, number in Counter(one.message.type for one in rows).items():
        transaction.on_commit(partial(metrics.MESSAGES.inc, Direction.OUTBOUND, type_, "accepted", by=number))


def _answer(order: Order, verdicts: list[Verdict]) -> None:
    order.answer = order.error = None
    try:
        order.answer = order.answer_of(verdicts)
    except Problem as problem:
        order.error = problem


def _granted(candidates: list[Candidate], grants: Mapping[tuple[str, str], Granted], now: datetime) -> list[Candidate]:
    """Those the quota has room for, first come, first served; what an album leaves over is given back."""
    left = {meter: grant.granted for meter, grant in grants.items()}
    accepted = []
    for one in candidates:
        if left[one.meter] >= len(one.messages):
            left[one.meter] -= len(one.messages)
            accepted.append(one)
        else:
            one.refusal = grants[one.meter].refusal
    if spare := [(*meter, now) for meter, number in left.items() for _ in range(number)]:
        quota.release(spare)
    return accepted


def _alerts(grants: Mapping[tuple[str, str], Granted]) -> list[events.Draft]:
    return [
        events.Draft(organization_id, None, network, "subscription.usage", usage_data(threshold))
        for (organization_id, network), grant in grants.items()
        for threshold in grant.crossed
    ]


def usage_data(threshold: Threshold) -> dict[str, Any]:
    """What the event tells: ``percent`` of the month's messages are used."""
    return {
        "percent": threshold.percent,
        "used": threshold.used,
        "limit": threshold.limit,
        "renews_at": iso(threshold.renews_at),
    }


def _wake(instances: Iterable[Instance]) -> None:
    for instance in instances:
        queue: str | None = instance.queue  # type: ignore[attr-defined]  # of _INSTANCES
        transaction.on_commit(partial(wakeup.lane, instance.id, queue))


def _row(message: Message) -> tuple[Any, ...]:
    return (
        message.id,
        message.organization_id,
        message.instance_id,
        message.direction,
        message.status,
        message.type,
        orjson.dumps(message.content).decode(),
        orjson.dumps(message.attributes).decode() if message.attributes else "{}",
        message.media_id,
        message.text,
        message.chat,
        message.chat_lid,
        message.sender_name,
        message.origin,
        message.history,
        message.secret,
        message.client_ref,
        message.unique_ref,
        message.attempts,
        message.send_at,
        message.created_at,
    )
