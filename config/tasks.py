from __future__ import annotations

from celery import shared_task
from django.contrib.sessions.models import Session
from django.utils import timezone

from config import pulse as pulses
from config.api import idempotency


@shared_task
def pulse() -> None:
    """Beat sends it, a task worker runs it: proof for /health that both are alive."""
    pulses.beat("tasks")


@shared_task
def prune() -> None:
    """Drop what has expired: browser sessions and idempotency keys."""
    Session.objects.filter(expire_date__lt=timezone.now()).delete()
    while idempotency.prune():
        pass
