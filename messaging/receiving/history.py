"""Imports the phone's history: kept durably by the session worker, taken over by a task in small transactions."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from itertools import islice

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from google.protobuf.message import DecodeError

from instances import settings, wakeup
from instances.holding.writer import Item, Written
from instances.models import Instance
from instances.services import draft
from instances.whatsapp.news import Inbound, Person
from instances.whatsapp.translating.history import History, TooLarge, messages_of, unpacked
from messaging.models import Chat, HistoryPart
from messaging.receiving import people
from messaging.receiving.messages import write
from webhooks import events

log = structlog.get_logger(__name__)
STEP = 100  # messages of one transaction
_LEASE = timedelta(minutes=2)  # after it the sweep takes an import for dead
_MOST_ATTEMPTS = 10
_REMEMBERED = timedelta(days=1)  # much longer than a killed worker's journal waits to be replayed


def keep(items: list[Item], held: dict[str, Instance]) -> Written:
    """Keep a part of the history until it is imported; not if the instance wants none, nor one that was kept before."""
    for item in items:
        if settings.of(held[item.instance_id]).history.days:
            data = item.value.data
            part, new = HistoryPart.objects.get_or_create(
                instance_id=item.instance_id, digest=hashlib.sha256(data).hexdigest(), defaults={"data": data}
            )
            if new:
                transaction.on_commit(partial(wakeup.task, "messaging.tasks.import_history", part.pk), robust=True)
    return Written([None] * len(items), [])


def import_part(part_id: int) -> None:
    """Take over a part of the history, from where an earlier attempt stopped. Idempotent; returns when it is done.

    At most one process does it: each step moves ``done`` from what this one left there, and others give up.
    """
    part = HistoryPart.objects.filter(pk=part_id).select_related("instance").first()
    if part is None or part.due_at is None or not _claim(part):
        return
    instance = part.instance
    wanted = settings.of(instance).history
    try:
        found = unpacked(bytes(part.data), wanted.days, wanted.max_messages, part.created_at)
    except (TooLarge, zlib.error, DecodeError) as error:
        log.error("history_unreadable", part=part.pk, error=repr(error))
        _empty(part)
        return
    if part.done == 0:
        _take_over_people(instance, found)
    steps = islice(_messages(found, Person(instance.phone, instance.lid)), part.done, None)
    while step := list(islice(steps, STEP)):
        if not _import(part, step):
            return
    _finish(part, found)


def _claim(part: HistoryPart) -> bool:
    if part.attempts >= _MOST_ATTEMPTS:
        log.error("history_given_up", part=part.pk, instance=part.instance_id)
        _empty(part)
        return False
    mine = HistoryPart.objects.filter(pk=part.pk, due_at=part.due_at, attempts=part.attempts)
    return bool(mine.update(due_at=timezone.now() + _LEASE, attempts=F("attempts") + 1))


def _empty(part: HistoryPart) -> bool:
    """Nothing is left to do with a part; False if somebody has said so before."""
    left = HistoryPart.objects.filter(pk=part.pk, due_at__isnull=False)
    return bool(left.update(due_at=None, data=b""))


def _messages(found: History, me: Person) -> Iterator[list[Inbound]]:
    """Each message with what was done to it."""
    for chat in found.chats:
        for web in chat.messages:
            yield list(messages_of(chat, web, me))


@transaction.atomic
def _take_over_people(instance: Instance, found: History) -> None:
    Instance.objects.select_for_update(no_key=True).get(pk=instance.pk)
    others = [Person(one.phone, one.lid) for chat in found.chats if (one := chat.other) and one.phone and one.lid]
    people.met((instance.pk, one) for one in [*found.people, *others])


@transaction.atomic
def _import(part: HistoryPart, step: list[list[Inbound]]) -> bool:
    """One step; False when somebody else goes on with the part."""
    # As the session worker's writer does, so that a message that also comes live is written once.
    instance = Instance.objects.select_for_update(no_key=True).get(pk=part.instance_id)
    done = part.done + len(step)
    mine = HistoryPart.objects.filter(pk=part.pk, done=part.done)
    if not mine.update(done=done, due_at=timezone.now() + _LEASE, attempts=1):
        return False
    written = write([(instance, news) for one in step for news in one])
    if settings.of(instance).history.events:
        events.append(written)
    part.messages += len([one for one in written if one.type in ("message.received", "message.sent")])
    HistoryPart.objects.filter(pk=part.pk).update(messages=part.messages)
    part.done = done
    return True


@transaction.atomic
def _finish(part: HistoryPart, found: History) -> None:
    instance = Instance.objects.select_for_update(no_key=True).get(pk=part.instance_id)
    if not _empty(part):
        return
    for chat in found.chats:
        if chat.name and chat.messages:
            jid = chat.other.jid if chat.other else str(chat.jid)
            Chat.objects.filter(instance=instance, jid=jid, name="").update(name=chat.name)
    chats = len([chat for chat in found.chats if chat.messages])
    data = {"kind": found.kind, "progress": found.progress, "chats": chats, "messages": part.messages}
    events.append([draft(instance, "history.synced", data)])


def waiting() -> list[int]:
    """The parts whose import is due, or was begun by a process that died."""
    return list(HistoryPart.objects.filter(due_at__lt=timezone.now()).order_by("pk").values_list("pk", flat=True)[:100])


def forget() -> None:
    """Drop the rows of parts that were imported long ago."""
    HistoryPart.objects.filter(due_at__isnull=True, created_at__lt=timezone.now() - _REMEMBERED).delete()
