"""How an instance's connection fared: each state it came into, and why."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from config.ids import first_id
from config.timestamps import iso
from instances.models import ConnectionChange
from instances.states import REASONS

_STEP = 1000
_SECONDS = 20.0


def change_data(change: ConnectionChange) -> dict[str, Any]:
    """A step of the history as clients see it."""
    words = REASONS[change.reason]
    return {
        "id": change.id,
        "at": iso(change.at),
        "state": change.state,
        "reason": change.reason,
        "reason_text": words.sentence,
        "advice": words.advice,
        "detail": change.detail,
    }


def prune() -> None:
    """Drop what is older than CONNECTION_HISTORY_DAYS, in steps, for some seconds; the next run goes on."""
    end = first_id(timezone.now() - timedelta(days=settings.CONNECTION_HISTORY_DAYS), "chg")
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        old = list(ConnectionChange.objects.filter(pk__lt=end).order_by("pk").values_list("pk", flat=True)[:_STEP])
        ConnectionChange.objects.filter(pk__in=old).delete()
        if len(old) < _STEP:
            return
