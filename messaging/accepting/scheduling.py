"""Messages with a time to leave, and what becomes of messages that shall not leave.

A scheduled message is released by whoever finds it due first: the session worker that holds its number looks every
second, the task worker for all. Each change is a compare-and-swap on the status, so it happens once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from functools import partial

import structlog
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from config.api.problems import Problem, invalid
from instances import wakeup
from instances.models import Instance
from media import services as media
from media.selectors import ready
from messaging.accepting.links import awaits_preview
from messaging.accepting.referring import kind_of
from messaging.models import Message
from messaging.progress import move, report
from messaging.states import Status
from subscriptions import quota
from webhooks import events

log = structlog.get_logger(__name__)
HORIZON = timedelta(days=30)
_AT_ONCE = 200


def checked(send_at: datetime) -> datetime:
    """A time to leave that a user asks for. Raises Problem ``invalid_request`` for the past and beyond 30 days."""
    now = timezone.now()
    if send_at <= now:
        raise invalid("/send_at", "send_at_in_past", "The time is over; leave it out to send at once.")
    if send_at > now + HORIZON:
        raise invalid("/send_at", "send_at_too_far", "A message can be scheduled up to 30 days ahead.")
    return send_at


def _with_items(message: Message) -> list[Message]:
    """The message; an album with its pictures and videos."""
    if message.type != "album":
        return [message]
    ids = [item["message_id"] for item in message.content.get("items", ())]
    return [message, *Message.objects.filter(pk__in=ids, instance_id=message.instance_id).order_by("id")]


@transaction.atomic
def reschedule(*, message: Message, send_at: datetime) -> Message:
    """Give a scheduled message another time to leave; an album goes with its items, and files stay for as long.

    Raises Problem ``message_not_scheduled``, and ``invalid_request`` for a time that `checked` refuses.
    """
    checked(send_at)
    instance = message.instance
    drafts = []
    rows = _with_items(message)
    for row in rows:
        if Message.objects.filter(pk=row.pk, status=Status.SCHEDULED).update(send_at=send_at):
            row.send_at = send_at
            drafts.append(report(row, instance))
        elif row is message:
            message.refresh_from_db(fields=["status"])
            raise Problem("message_not_scheduled", f"The message is {message.status}.")
    media.used([row.media_id for row in rows if row.media_id is not None])
    events.append(drafts)
    return message


@transaction.atomic
def cancel(*, message: Message) -> Message:
    """See to it that a message is not sent, which does not count against the quota then. Idempotent.

    An album goes with those of its items that have not left. Raises Problem ``message_already_sent``: also for one
    that is just being sent, and for one that has ended otherwise.
    """
    if message not in cancel_waiting(messages=[message]):
        message.refresh_from_db(fields=["status"])
        if message.status != Status.CANCELLED:
            raise Problem("message_already_sent", f"The message is {message.status}.")
    return message


@transaction.atomic
def cancel_waiting(*, messages: Iterable[Message]) -> list[Message]:
    """Cancel those of the messages that have not left, albums with their items; returns what was cancelled."""
    ended = [
        (row, message.instance) for message in messages for row in _with_items(message) if move(row, Status.CANCELLED)
    ]
    quota.release((instance.organization_id, instance.network, row.created_at) for row, instance in ended)
    events.append([report(row, instance) for row, instance in ended])
    return [row for row, _ in ended]


def release_due(instance_ids: Collection[str] | None = None) -> set[str]:
    """Let go what is scheduled and due, of some instances or of all; returns the instances that have work by it.

    Safe to run anywhere at any time, beside others. A message whose file is not ready, or whose link was not looked at
    yet, becomes ``preparing``.
    """
    found: set[str] = set()
    while released := _release_some(instance_ids):
        found |= {row.instance_id for row in released}
        if len(released) < _AT_ONCE:
            break
    return found


def _release_some(instance_ids: Collection[str] | None) -> list[Message]:
    due = Q(status=Status.SCHEDULED, send_at__lte=timezone.now())
    if instance_ids is not None:
        due &= Q(instance_id__in=list(instance_ids))
    if not Message.objects.filter(due).exists():  # without a transaction: this is asked every second
        return []
    with transaction.atomic():
        rows = Message.objects.filter(due)
        if connection.vendor == "postgresql":
            rows = rows.select_for_update(of=("self",), skip_locked=True)
        released = list(rows.select_related("instance__holder").order_by("send_at", "id")[:_AT_ONCE])
        unready = _unready(released)
        linking = {row.pk for row in released if awaits_preview(row)}
        for row in released:
            row.status = Status.PREPARING if row.pk in unready or row.pk in linking else Status.QUEUED
        for status in (Status.PREPARING, Status.QUEUED):
            ids = [row.pk for row in released if row.status == status]
            Message.objects.filter(pk__in=ids, status=Status.SCHEDULED).update(status=status)
        events.append([report(row, row.instance) for row in released])
        for file in unready.values():
            transaction.on_commit(partial(media.prepare, *file))
        if linking:
            transaction.on_commit(partial(wakeup.task, "messaging.tasks.preview"))
        for instance in {row.instance_id: row.instance for row in released}.values():
            transaction.on_commit(partial(_wake, instance))
    log.info("schedule_released", messages=len(released))
    return released


def _wake(instance: Instance) -> None:
    wakeup.lane(instance.id, instance.holder.queue if instance.holder else None)


def _unready(rows: Collection[Message]) -> dict[str, tuple[str, str]]:
    """Those whose file cannot be sent yet, with the file and what it is for."""
    files = [row for row in rows if row.media_id is not None]
    wanted = {row.pk: (str(row.media_id), kind_of(row.type, row.content)) for row in files}
    done = ready(set(wanted.values())) if wanted else {}
    return {pk: file for pk, file in wanted.items() if file not in done}
