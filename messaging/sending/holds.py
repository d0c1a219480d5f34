"""Holds of cold contacts: WhatsApp has refused a message to somebody who never wrote to the number.

Then messages to such people wait as ``held``, and replies and known contacts pass. When the hold is over, one message
is tried: if it arrives, all others follow; if it is refused, the hold lasts twice as long. The functions that take
items are handlers of the session worker's writer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Count, F
from django.utils import timezone

from config.timestamps import iso
from instances import settings, wakeup
from instances.holding.writer import Handler, Item, Written
from instances.models import Instance
from instances.services import draft, record_act
from instances.whatsapp.failures import CODES, COLD
from messaging.models import Message, SendingState
from messaging.progress import move, report
from messaging.states import Status
from subscriptions import quota
from webhooks import events
from webhooks.events import Draft

_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Hold:
    """Claimed messages to cold contacts, not begun; they become ``held``."""

    message_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Probe:
    """Queue the oldest held message, or those to the chats that are named; the result are their ids."""

    chats: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EndHold:
    """WhatsApp takes messages to cold contacts again. The result is how many held ones were queued; 0: none is left."""


@dataclass(frozen=True, slots=True)
class NewContact:
    """A first message is about to leave for somebody; the result is how many there were on that day."""

    day: date


@dataclass(frozen=True, slots=True)
class Undefer:
    """Forget until when queued messages were to wait: the settings have changed."""


def state_of(instance_id: str) -> SendingState:
    """What limits the instance's sends now."""
    return SendingState.objects.filter(pk=instance_id).first() or SendingState(instance_id=instance_id)


def refuse(message: Message, instance: Instance) -> list[Draft]:
    """Hold a message that WhatsApp refused, and what follows it in its chat; begins the hold or makes it longer."""
    now = timezone.now()
    limits = settings.of(instance).cold_contacts
    state, _ = SendingState.objects.get_or_create(instance=instance)
    drafts = _held([message], instance)
    drafts += _held(list(Message.objects.filter(instance=instance, chat=message.chat, status=Status.QUEUED)), instance)
    if state.cold_until is None or state.cold_until <= now:
        longer = limits.first_hold_seconds if state.cold_since is None else 2 * state.cold_seconds
        state.cold_seconds = min(longer, limits.longest_hold_seconds)
        state.cold_since = state.cold_since or now
        state.cold_until = now + timedelta(seconds=state.cold_seconds)
        state.save()
        data = {"since": iso(state.cold_since), "until": iso(state.cold_until), "waiting": _waiting(instance.id)}
        drafts.append(draft(instance, "instance.cold_hold", data))
    return drafts


def _waiting(instance_id: str) -> int:
    return Message.objects.filter(instance_id=instance_id, status=Status.HELD).count()


def _held(rows: Sequence[Message], instance: Instance) -> list[Draft]:
    words = {"error_code": COLD, "error_detail": CODES[COLD].sentence}
    return [report(row, instance) for row in rows if move(row, Status.HELD, **words)]


def hold(items: list[Item], held: dict[str, Instance]) -> Written:
    drafts: list[Draft] = []
    for item in items:
        mine = Message.objects.filter(pk__in=item.value.message_ids, status=Status.SENDING)
        mine.update(attempts=F("attempts") - 1)
        drafts += _held(list(mine.order_by("id")), held[item.instance_id])
    return Written([None] * len(items), drafts)


def _let_go(rows: Sequence[Message], instance: Instance) -> list[Draft]:
    words = {"error_code": None, "error_detail": None}
    return [report(row, instance) for row in rows if move(row, Status.QUEUED, **words)]


def probe(items: list[Item], held: dict[str, Instance]) -> Written:
    results: list[Any] = []
    drafts: list[Draft] = []
    for item in items:
        waiting = Message.objects.filter(instance_id=item.instance_id, status=Status.HELD).order_by("id")
        rows = list(waiting.filter(chat__in=item.value.chats) if item.value.chats else waiting[:1])
        drafts += _let_go(rows, held[item.instance_id])
        results.append([row.pk for row in rows])
    return Written(results, drafts)


def end_hold(items: list[Item], held: dict[str, Instance]) -> Written:
    results: list[Any] = []
    drafts: list[Draft] = []
    for item in items:
        instance = held[item.instance_id]
        over = SendingState.objects.filter(pk=item.instance_id, cold_since__isnull=False)
        ended = over.update(cold_since=None, cold_until=None, cold_seconds=0)
        waiting = _waiting(item.instance_id)
        if ended:
            drafts.append(draft(instance, "instance.cold_hold_ended", {"waiting": waiting}))
        rows = Message.objects.filter(instance_id=item.instance_id, status=Status.HELD).order_by("id")[:_AT_ONCE]
        drafts += _let_go(list(rows), instance)
        results.append(min(waiting, _AT_ONCE))
    return Written(results, drafts)


@transaction.atomic
def resume(*, instance: Instance) -> None:
    """End the waiting of a hold now: one held message is tried, and if it arrives, all others follow. Idempotent.

    Where nothing is held the hold is over at once, and so known to the next message to a cold contact.
    """
    Instance.objects.select_for_update(no_key=True).get(pk=instance.pk)  # the session worker's writer locks it too
    state = SendingState.objects.filter(pk=instance.pk, cold_since__isnull=False)
    if not state.update(cold_until=timezone.now()):
        return
    if not _waiting(instance.id):
        state.update(cold_since=None, cold_until=None, cold_seconds=0)
        events.append([draft(instance, "instance.cold_hold_ended", {"waiting": 0})])
    record_act(instance, "cold_hold_resumed")
    transaction.on_commit(partial(wakeup.holder_of, instance.id))


def new_contact(items: list[Item], held: dict[str, Instance]) -> Written:
    results: list[Any] = []
    for item in items:
        state, _ = SendingState.objects.get_or_create(instance_id=item.instance_id)
        if state.new_contacts_day != item.value.day:
            state.new_contacts_day, state.new_contacts = item.value.day, 0
        state.new_contacts += 1
        state.save(update_fields=["new_contacts_day", "new_contacts"])
        results.append(state.new_contacts)
    return Written(results, [])


def undefer(items: list[Item], held: dict[str, Instance]) -> Written:
    for item in items:
        waiting = Message.objects.filter(instance_id=item.instance_id, status=Status.QUEUED)
        waiting.filter(not_before__gt=timezone.now()).update(not_before=None)
    return Written([None] * len(items), [])


def shown(instances: Sequence[Instance]) -> Mapping[str, Mapping[str, Any]]:
    """``cold_hold`` of each instance, as answers show it."""
    states = {row.pk: row for row in SendingState.objects.filter(pk__in=[one.id for one in instances])}
    cold = [id_ for id_, state in states.items() if state.cold_since]
    rows = Message.objects.filter(instance_id__in=cold, status=Status.HELD) if cold else Message.objects.none()
    waiting = dict(rows.order_by().values_list("instance_id").annotate(Count("pk")))
    return {one.id: {"cold_hold": _shown(states.get(one.id), waiting.get(one.id, 0))} for one in instances}


def _shown(state: SendingState | None, waiting: int) -> dict[str, Any] | None:
    if state is None or state.cold_since is None:
        return None
    return {"since": iso(state.cold_since), "until": iso(state.cold_until), "waiting": waiting}


def expire() -> int:
    """Fail what has been held for longer than the settings of its instance allow; returns how many."""
    failed = 0
    ids = Message.objects.filter(status=Status.HELD).order_by().values_list("instance_id", flat=True).distinct()
    for instance in Instance.objects.filter(pk__in=list(ids)):
        oldest = timezone.now() - timedelta(days=settings.of(instance).cold_contacts.keep_days)
        while rows := list(
            Message.objects.filter(instance=instance, status=Status.HELD, created_at__lt=oldest)[:_AT_ONCE]
        ):
            failed += _give_up(rows, instance)
    return failed


@transaction.atomic
def _give_up(rows: Sequence[Message], instance: Instance) -> int:
    words = {"error_code": COLD, "error_detail": CODES[COLD].sentence}
    ended = [row for row in rows if move(row, Status.FAILED, **words)]
    quota.release((instance.organization_id, instance.network, row.created_at) for row in ended)
    events.append([report(row, instance) for row in ended])
    return len(ended)


HANDLERS: dict[type, Handler] = {
    Hold: hold,
    Probe: probe,
    EndHold: end_hold,
    NewContact: new_contact,
    Undefer: undefer,
}
