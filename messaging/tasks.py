from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from messaging.models import EarlyReceipt


@shared_task
def prune() -> None:
    """Drop receipts for messages we never sent, such as those written on the number's own phone."""
    EarlyReceipt.objects.filter(created_at__lt=timezone.now() - timedelta(days=1)).delete()
