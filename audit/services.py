from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from audit.hashing import digest, storable, storable_text
from audit.models import NO_HASH, PLATFORM, Chain, Entry
from config import context, metrics

# Locks the head and tells what it was, also when two start a chain at once.
_ADVANCE = """
INSERT INTO {table} (name, sequence, hash) VALUES (%s, 1, %s)
ON CONFLICT (name) DO UPDATE SET sequence = {table}.sequence + 1 RETURNING sequence, hash
"""


def record(
    action: str, *, organization_id: str | None, subject: str = "", changes: Mapping[str, Any] | None = None
) -> Entry:
    """Append an entry in the caller's transaction, or in one of its own when there is none.

    ``action`` is ``subject:verb``, such as ``key:created``; ``subject`` the id of what was acted upon; ``changes`` what
    changed: JSON values, and never a secret. Who, from where and the request id come from ``config.context``. The head
    of the organization's chain (the platform's without one) stays locked until the transaction ends: call it late. What
    is to be recorded of a failure must be recorded outside of the transaction that the failure rolls back.
    """
    origin = context.current()
    with transaction.atomic(savepoint=False):
        sequence, previous = _advance(organization_id or PLATFORM)
        entry = Entry(
            organization_id=organization_id,
            sequence=sequence,
            tag=f"{origin.source}:{action}",
            actor_kind=origin.actor_kind,
            actor_id=origin.actor_id,
            actor_name=storable_text(origin.actor_name)[:254],
            address=origin.address,
            request_id=origin.request_id,
            subject=storable_text(subject)[:200],
            changes=storable(changes or {}),
            at=timezone.now(),
            previous=previous,
        )
        entry.hash = digest(entry)
        entry.save(force_insert=True)
        Chain.objects.filter(pk=organization_id or PLATFORM).update(hash=entry.hash)
        transaction.on_commit(partial(metrics.AUDIT_ENTRIES.inc, origin.source))
    return entry


def _advance(chain: str) -> tuple[int, str]:
    """Lock the head of a chain and count it on; returns the new sequence and the hash before it."""
    with connection.cursor() as cursor:
        cursor.execute(_ADVANCE.format(table=Chain._meta.db_table), [chain, NO_HASH])
        sequence, previous = cursor.fetchone()
    return sequence, previous
