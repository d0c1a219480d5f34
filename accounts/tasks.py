from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from accounts.models import Session

KEEP_ENDED = timedelta(days=30)


@shared_task
def prune() -> None:
    """Drop sessions that ended long ago; until then they answer the question where somebody was logged in."""
    Session.objects.filter(expires_at__lt=timezone.now() - KEEP_ENDED).delete()
