"""Which queued messages may leave now, and in which order: by id, and none before an earlier one of its chat."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import connection
from django.utils import timezone

from messaging.models import Message

TABLE = Message._meta.db_table
_INSTANCE = Message._meta.get_field("instance").target_field
_MOMENT = Message._meta.get_field("not_before")
# The conditions on `ahead` are those of the partial indexes "waiting" and "delayed": the second is empty almost always.
NEXT = f"""
SELECT m.{{columns}} FROM {TABLE} AS m
WHERE m.instance_id = %s AND m.status = 'queued' AND (m.not_before IS NULL OR m.not_before <= %s)
  AND NOT EXISTS (
    SELECT 1 FROM {TABLE} AS ahead WHERE ahead.instance_id = m.instance_id AND ahead.chat = m.chat AND ahead.id < m.id
    AND ahead.status IN ('preparing', 'held'))
  AND NOT EXISTS (
    SELECT 1 FROM {TABLE} AS ahead WHERE ahead.instance_id = m.instance_id AND ahead.chat = m.chat AND ahead.id < m.id
    AND ahead.status = 'queued' AND ahead.not_before IS NOT NULL AND ahead.not_before > %s)
ORDER BY m.id LIMIT %s
"""  # noqa: S608 (words of ours)
# The status is asked for twice: a message may be cancelled while the statement waits for its row.
_CLAIM = f"""
UPDATE {TABLE} SET status = 'sending', attempts = attempts + 1
WHERE status = 'queued' AND id IN ({NEXT.format(columns="id")})
RETURNING *
"""  # noqa: S608


def _parameters(instance_id: str, now: datetime, limit: int) -> list[Any]:
    moment = _MOMENT.get_db_prep_value(now, connection)
    return [_INSTANCE.get_db_prep_value(instance_id, connection), moment, moment, limit]


def take(instance_id: str, limit: int) -> list[Message]:
    """Mark up to ``limit`` messages as being sent, in the caller's transaction; returns them, oldest first."""
    rows = Message.objects.raw(_CLAIM, _parameters(instance_id, timezone.now(), limit))
    return sorted(rows, key=lambda row: row.id)


def next_of(instance_id: str) -> Message | None:
    """The message that would be claimed next."""
    rows = Message.objects.raw(NEXT.format(columns="*"), _parameters(instance_id, timezone.now(), 1))
    return next(iter(rows), None)
