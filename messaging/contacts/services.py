from __future__ import annotations

import time
from functools import partial

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from audit.services import record
from instances import wakeup
from instances.models import Instance
from media import services as media
from media.models import Media, Source
from messaging.contacts import erasing
from messaging.contacts.selectors import Somebody
from messaging.models import Erasure, Message
from webhooks import scrubbing

_SECONDS = 20.0  # of one run
_STEP = 200
_EVENTS = 500
_HEARD = 5000


@transaction.atomic
def erase(*, person: Somebody) -> Erasure:
    """Begin to delete all that is kept of a person; the task worker goes on. Idempotent while it is running."""
    running = Erasure.objects.filter(instance=person.instance, status=Erasure.Status.RUNNING)
    if found := running.filter(phone=person.phone, lid=person.lid).first():
        return found
    erasure = Erasure.objects.create(
        organization_id=person.instance.organization_id, instance=person.instance, phone=person.phone, lid=person.lid
    )
    # Who it was must not stay in the audit log either.
    record(
        "contact:erased",
        organization_id=erasure.organization_id,
        subject=erasure.id,
        changes={"instance": person.instance.id},
    )
    transaction.on_commit(partial(wakeup.task, "messaging.tasks.erase", erasure.id))
    return erasure


def unfinished() -> list[str]:
    """The erasures whose wake-up may have been lost, oldest first."""
    running = Erasure.objects.filter(status=Erasure.Status.RUNNING)
    return list(running.order_by("created_at").values_list("pk", flat=True)[:100])


def go_on(*, erasure_id: str, seconds: float = _SECONDS) -> bool:
    """Do the next steps of an erasure, each in a transaction of its own; True if there is more.

    May run more than once at a time, and again after it is done.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not _step(erasure_id):
            return False
    return True


@transaction.atomic
def _step(erasure_id: str) -> bool:
    erasure = Erasure.objects.filter(pk=erasure_id, status=Erasure.Status.RUNNING).first()
    if erasure is None:
        return False
    # The session worker's writer locks the instance as well, so nothing of the person is written meanwhile.
    instance = Instance.objects.select_for_update(no_key=True).get(pk=erasure.instance_id)
    person = Somebody(instance, erasure.phone, erasure.lid)
    if ids := list(person.messages.order_by("pk").values_list("pk", flat=True)[:_STEP]):
        erasure.messages += delete_messages(ids)
        erasure.save(update_fields=["messages"])
        return True
    heard = person.heard.filter(pk__gt=erasure.heard_to) if erasure.heard_to else person.heard
    if last := _last(heard):
        wrote = heard.filter(person.wrote, pk__lte=last)
        erasure.messages += delete_messages(list(wrote.values_list("pk", flat=True)))
        erasure.heard_to = last
        erasure.save(update_fields=["messages", "heard_to"])
        return True
    for _, rows in person.acts():
        if acts := list(rows.values_list("pk", flat=True)[:_STEP]):
            rows.model._default_manager.filter(pk__in=acts).delete()
            return True
    if any(handler(person) for handler in erasing):
        return True
    names = [*person.jids, *([person.phone] if person.phone else [])]
    scrubbed = scrubbing.scrub(instance_id=instance.id, names=names, after=erasure.events_to, limit=_EVENTS)
    erasure.events += scrubbed.changed
    erasure.events_to = scrubbed.last
    if scrubbed.more:
        erasure.save(update_fields=["events", "events_to"])
        return True
    person.calls.delete()
    person.chats.delete()
    person.contacts.delete()
    erasure.status, erasure.finished_at = Erasure.Status.DONE, timezone.now()
    erasure.phone = erasure.lid = None
    erasure.save()
    return False


def _last(heard: QuerySet[Message]) -> str | None:
    """The last id of the next rows to look at; None when all were looked at."""
    step = heard.order_by("pk").values_list("pk", flat=True)[:_HEARD]
    return max(step, default=None)


def delete_messages(ids: list[str]) -> int:
    """Messages, and the files that came or went with them alone; what was uploaded to be sent stays."""
    rows = Message.objects.filter(pk__in=ids)
    files = set(rows.filter(media__isnull=False).values_list("media_id", flat=True))
    rows.delete()
    for file in Media.objects.filter(pk__in=files).exclude(source=Source.UPLOAD):
        if not Message.objects.filter(media=file).exists():
            media.expire(file)
            Media.objects.filter(pk=file.pk).update(filename="", sha256="", link="")
    return len(ids)
