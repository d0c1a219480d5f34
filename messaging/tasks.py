from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from messaging import retention
from messaging.accepting import preparing, previews, scheduling
from messaging.calls import services as calls
from messaging.contacts import services as contacts
from messaging.models import EarlyChange, EarlyReceipt
from messaging.receiving import groups, history, settling
from messaging.sending import holds


@shared_task
def prune() -> None:
    """Drop receipts and changes of messages that never came, such as those from before the number was linked.

    Also the marks of parts of the history that were imported long ago, and old calls.
    """
    history.forget()
    calls.prune()
    EarlyReceipt.objects.filter(created_at__lt=timezone.now() - timedelta(days=1)).delete()
    EarlyChange.objects.filter(created_at__lt=timezone.now() - timedelta(days=7)).delete()


@shared_task
def learn_groups(instance_id: str) -> None:
    """Ask WhatsApp who is in the groups of an instance that are to be asked for."""
    settling.learn_groups(instance_id)


@shared_task
def sweep_groups() -> None:
    """Find groups whose question got lost or found nobody connected."""
    for instance_id in groups.with_questions():
        learn_groups.delay(instance_id)


@shared_task
def release() -> None:
    """Let go scheduled messages that are due; session workers do so for the numbers they hold."""
    scheduling.release_due()


@shared_task
def import_history(part_id: int) -> None:
    """Take over a part of a phone's history."""
    history.import_part(part_id)


@shared_task
def sweep_history() -> None:
    """Find parts whose task got lost or died on the way."""
    for part_id in history.waiting():
        import_history.delay(part_id)


@shared_task
def sweep_preparing() -> None:
    """Ask again for the files that messages have waited for for long."""
    preparing.sweep()


@shared_task
def purge() -> None:
    """Delete messages that are older than their plan keeps them; goes on in another task while there is more."""
    if retention.purge():
        purge.delay()


@shared_task
def erase(erasure_id: str) -> None:
    """Go on with an erasure; in another task while there is more."""
    if contacts.go_on(erasure_id=erasure_id):
        erase.delay(erasure_id)


@shared_task
def sweep_erasures() -> None:
    """Go on with erasures whose wake-ups were lost."""
    for erasure_id in contacts.unfinished():
        contacts.go_on(erasure_id=erasure_id)


@shared_task
def expire_held() -> None:
    """Fail messages that have been held for as long as the settings of their instances allow."""
    holds.expire()


@shared_task
def preview() -> None:
    """Fetch the pages that messages link to."""
    previews.run()


@shared_task
def sweep_previews() -> None:
    """Find messages whose preview got lost or takes too long."""
    previews.sweep()
