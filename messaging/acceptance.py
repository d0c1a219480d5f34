"""Accepting messages: many requests of a process share one transaction.

Whoever comes while a transaction is under way waits for its end; then the first of those who waited commits
for all of them. So a lone request is committed at once by its own thread, and a crowd shares few commits.
"""

from __future__ import annotations

import secrets
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from io import BytesIO
from typing import Any

import orjson
import structlog
from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from accounts.actor import Actor
from config import bulk, metrics
from config.api.problems import Problem
from config.ids import InvalidId, to_uuid
from config.timestamps import iso
from instances import settings, wakeup
from instances.access import admitted
from instances.models import Instance
from instances.services import draft
from instances.states import ENDED, Wanted
from instances.whatsapp.jids import LID
from media import services as media
from media.selectors import ready
from messaging import kept
from messaging.links import first_link
from messaging.models import SECRET_BYTES, Message
from messaging.orders import Order, Outgoing, Verdict
from messaging.referring import References
from messaging.searchable import text_of
from messaging.selectors import message_data
from messaging.states import Direction, Status
from subscriptions import quota, usage
from subscriptions.quota import Granted, Threshold
from webhooks import events

log = structlog.get_logger(__name__)
GROUP_MESSAGES = 1000  # a group takes no further request when it has so many
_LARGE = 20  # a batch of so many need not wait for company
_DEADLOCK, _UNIQUE = "40P01", "23505"
_COLUMNS = (
    "id", "organization", "instance", "direction", "status", "type", "content", "attributes", "media", "text", "chat",
    "chat_lid", "sender_name", "origin", "history", "secret", "client_ref", "unique_ref", "attempts", "send_at",
    "created_at",
)  # fmt: skip


# By hand: the ORM takes longer to build this query than the database to answer it.
_INSTANCES = """
SELECT i.id, i.organization_id, i.network, i.name, i.wanted, i.state, i.device_jid, i.phone, i.lid, i.settings,
  w.queue
FROM instances_instance i LEFT JOIN instances_worker w ON w.id = i.holder_id
WHERE i.id IN ({})
"""


class Acceptor:
    """One per process."""

    def __init__(self) -> None:
        self._waiting: deque[Order] = deque()
        self._turn = threading.Lock()

    def accept(self, order: Order) -> None:
        """Commit what may be sent of an order; it is ``done`` then, and what was accepted is durable.

        If the database fails, its error is the order's, and nothing of the order was accepted.
        """
        self._waiting.append(order)
        if not self._turn.acquire(blocking=False):
            if connection.vendor == "postgresql" and not connection.in_atomic_block:
                connection.close()  # back to the pool: who has the turn may need it
            self._turn.acquire()
        try:
            while not order.done:
                self._run([])
        finally:
            self._turn.release()

    def _group(self) -> list[Order]:
        """The next orders of those that wait, none with the idempotency key of another."""
        group: list[Order] = []
        claimed: set[tuple[str, str]] = set()
        size = 0
        while self._waiting and size < GROUP_MESSAGES:
            claim = self._waiting[0].claim
            if claim is not None and claim[:2] in claimed:
                break
            if claim is not None:
                claimed.add(claim[:2])
            group.append(self._waiting.popleft())
            size += len(group[-1].outgoing)
        return group

    def _run(self, group: list[Order]) -> None:
        """Commit a group; an empty one is filled once it is our turn among the processes, so that it is large."""
        try:
            with transaction.atomic():
                if not group:
                    if len(self._waiting[0].outgoing) < _LARGE:
                        _line_up(self._waiting[0].actor.organization_id)
                    group += self._group()
                _commit(group)
        except kept.Raced:
            self._run(group)
        except Exception as error:
            group = group or self._group()
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


@dataclass(slots=True)
class _Candidate:
    """A message that is accepted if the quota has room for it; else it gets a ``refusal``.

    An album comes with its items: all of it finds room, or nothing of it.
    """

    instance: Instance
    message: Message
    data: dict[str, Any]
    unready: tuple[str, str] | None = None  # id of the file that is not ready yet, and what for
    items: tuple[_Candidate, ...] = ()
    refusal: Problem | None = None

    @property
    def meter(self) -> tuple[str, str]:
        return self.instance.organization_id, self.instance.network

    @property
    def ref(self) -> tuple[str, str] | None:
        """What no other message may have."""
        return (self.instance.id, self.message.unique_ref) if self.message.unique_ref else None

    @property
    def messages(self) -> list[Message]:
        return [self.message, *(item.message for item in self.items)]


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
    judged = _judged(fresh, now)
    candidates = [one for row in judged for one in row if isinstance(one, _Candidate)]
    wanted: Counter[tuple[str, str]] = Counter()
    for one in candidates:
        wanted[one.meter] += len(one.messages)
    grants = quota.reserve(wanted)
    accepted = _granted(candidates, grants, now)
    verdicts = [[one if isinstance(one, Problem) else one.refusal or one.data for one in row] for row in judged]
    for order, found in zip(fresh, verdicts, strict=True):
        _answer(order, found)
    kept.keep(fresh)
    for order, found in zip(fresh, verdicts, strict=True):
        if order.within is not None:
            order.within(found)
    _keep(accepted, _alerts(grants))


def _keep(accepted: list[_Candidate], alerts: list[events.Draft]) -> None:
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
    for one in rows:
        if _awaits_preview(one.message):
            transaction.on_commit(partial(wakeup.task, "messaging.tasks.preview", one.message.id))
    for type_, number in Counter(one.message.type for one in rows).items():
        transaction.on_commit(partial(metrics.MESSAGES.inc, Direction.OUTBOUND, type_, "accepted", by=number))


def _answer(order: Order, verdicts: list[Verdict]) -> None:
    order.answer = order.error = None
    try:
        order.answer = order.answer_of(verdicts)
    except Problem as problem:
        order.error = problem


def _granted(
    candidates: list[_Candidate], grants: Mapping[tuple[str, str], Granted], now: datetime
) -> list[_Candidate]:
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


def _instances(group: list[Order]) -> dict[str, Instance]:
    asked = {one.instance_id for one in _outgoing(group) if _is_id(one.instance_id)}
    if not asked:
        return {}
    key = Instance._meta.get_field("id")
    places = ", ".join(["%s"] * len(asked))
    rows = Instance.objects.raw(_INSTANCES.format(places), [key.get_db_prep_value(id_, connection) for id_ in asked])
    return {row.id: row for row in rows}


def _outgoing(group: list[Order]) -> Iterator[Outgoing]:
    return (one for order in group for one in order.outgoing if isinstance(one, Outgoing))


def _is_id(text: str) -> bool:
    try:
        to_uuid(text, "ins")
    except InvalidId:
        return False
    return True


class _Bench:
    """What judging a group's messages needs, looked up once for all of them."""

    def __init__(self, orders: list[Order], now: datetime) -> None:
        self._now = now
        self._instances = _instances(orders)
        self._references = References(_outgoing(orders), self._instances)
        every = [part for one in _outgoing(orders) for part in (one, *one.items)]
        files = {(one.media.id, one.media.kind) for one in every if one.media is not None and one.media.id}
        self._ready = ready(files) if files else {}
        self._randomness = BytesIO(secrets.token_bytes(SECRET_BYTES * len(every)))

    def judge(self, actor: Actor, one: Outgoing | Problem) -> _Candidate | Problem:
        if isinstance(one, Problem):
            return one
        try:
            instance = admitted(actor, self._instances.get(one.instance_id))
            check_can_send(instance)
            one = self._references.resolve(one, instance, self._now)
        except Problem as problem:
            return problem
        album = self._candidate(one, instance)
        if one.items:
            album.items = tuple(self._candidate(item, instance, album) for item in one.items)
            listed = [{"message_id": item.message.id, "type": item.message.type} for item in album.items]
            album.message.content = {"items": listed}
            album.data = message_data(album.message, instance)
        return album

    def _candidate(self, one: Outgoing, instance: Instance, album: _Candidate | None = None) -> _Candidate:
        message = _message(one, instance, self._now, self._randomness.read(SECRET_BYTES))
        if album is not None:
            message.attributes["album"] = album.message.id
        unready = None
        if one.media is not None:
            file = one.media.id or "", one.media.kind
            if described := self._ready.get(file):
                message.content |= described
            else:
                message.content |= {"status": "preparing"}
                unready = file
        if one.send_at is not None:
            message.status = Status.SCHEDULED.value
        elif unready is not None or _awaits_preview(message):
            message.status = Status.PREPARING.value
        return _Candidate(instance, message, message_data(message, instance), unready)


def _awaits_preview(message: Message) -> bool:
    return "link_preview" in message.attributes and first_link(message.content["body"]) is not None


def _judged(orders: list[Order], now: datetime) -> list[list[_Candidate | Problem]]:
    """What becomes of each order's messages as far as their instances go."""
    bench = _Bench(orders, now)
    judged = [[bench.judge(order.actor, one) for one in order.outgoing] for order in orders]
    if any(isinstance(one, _Candidate) and one.message.unique_ref for row in judged for one in row):
        _refuse_taken(judged)
    return judged


def _refuse_taken(judged: list[list[_Candidate | Problem]]) -> None:
    """Put a problem in the place of each message whose unique reference has another one, in the ledger or before it."""
    asked = {one.ref for row in judged for one in row if isinstance(one, _Candidate) and one.ref}
    instance_ids, refs = {instance_id for instance_id, _ in asked}, {ref for _, ref in asked}
    found = Message.objects.filter(instance_id__in=instance_ids, unique_ref__in=refs)
    taken = {(row.instance_id, str(row.unique_ref)): row.id for row in found.only("instance_id", "unique_ref", "id")}
    for order in judged:
        for place, one in enumerate(order):
            if not isinstance(one, _Candidate) or one.ref is None:
                continue
            if (other := taken.setdefault(one.ref, one.message.id)) != one.message.id:
                detail = f"The message {other} has this client_ref."
                order[place] = Problem("client_ref_taken", detail, message_id=other)


def check_can_send(instance: Instance) -> None:
    """Raises Problem ``instance_not_linked``, ``instance_stopped`` or ``instance_unavailable``.

    An instance that is merely reconnecting may send: its messages wait in the lane.
    """
    if not instance.linked:
        raise Problem("instance_not_linked", "Link it first: connect, then scan the QR code.")
    if instance.wanted == Wanted.STOPPED:
        raise Problem("instance_stopped", "Call connect first.")
    if instance.state in ENDED:
        raise Problem("instance_unavailable", f"The instance is {instance.state}.", state=instance.state)


def _message(one: Outgoing, instance: Instance, now: datetime, secret: bytes) -> Message:
    return Message(
        organization_id=instance.organization_id,
        instance=instance,
        direction=Direction.OUTBOUND.value,
        status=Status.QUEUED.value,
        type=one.type,
        content=one.content if one.media is None else {"id": one.media.id, **one.content},
        attributes=dict(one.attributes),
        media_id=one.media.id if one.media is not None else None,
        text=text_of(one.type, one.content),
        chat=str(one.to),
        chat_lid=str(one.to) if one.to.server == LID else None,
        origin=one.origin,
        client_ref=one.client_ref,
        unique_ref=one.client_ref if _must_be_unique(one, instance) else None,
        secret=secret,
        send_at=one.send_at,
        created_at=now,
    )


def _must_be_unique(one: Outgoing, instance: Instance) -> bool:
    if one.unique_ref is None:
        return bool(instance.settings) and settings.of(instance).client_ref_unique
    return one.unique_ref


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
