"""Daily counters of what was accepted and received."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import islice

from django.db import connection
from django.utils import timezone

from accounts.models import Organization
from subscriptions.models import DailyUsage

_TABLE = DailyUsage._meta.db_table
_KEY = "organization_id, day, instance, type, direction"
_ROWS_AT_ONCE = 1000  # SQLite takes at most 32766 parameters


def add(rows: Iterable[tuple[str, str, str, str, str]]) -> None:
    """Count messages on today's page (UTC), in the caller's transaction; each row is one message:
    (organization, network, instance, type, ``inbound`` or ``outbound``).

    One statement for all; its rows are locked in sorted order, so that no two calls can deadlock. What is counted
    stays counted, whatever becomes of the message.
    """
    assert connection.in_atomic_block, "messages are counted in the transaction that writes them"
    counts = iter(sorted(Counter(rows).items()))
    day = connection.ops.adapt_datefield_value(timezone.now().date())
    organization, instance = Organization._meta.pk, DailyUsage._meta.get_field("instance")
    while chunk := list(islice(counts, _ROWS_AT_ONCE)):
        parameters = []
        for (organization_id, network, instance_id, type_, direction), count in chunk:
            parameters += [organization.get_db_prep_value(organization_id, connection), day]
            parameters += [instance.get_db_prep_value(instance_id, connection), type_, direction, network, count]
        values = ", ".join(["(%s, %s, %s, %s, %s, %s, %s)"] * len(chunk))
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {_TABLE} ({_KEY}, network, count) VALUES {values} "  # noqa: S608 (no value from outside)
                f"ON CONFLICT ({_KEY}) DO UPDATE SET count = {_TABLE}.count + excluded.count",
                parameters,
            )
