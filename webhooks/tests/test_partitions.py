"""The statements of docs/decisions/0017 on a real PostgreSQL, with the project's own code on top."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from config.ids import first_id, to_uuid
from conftest import Person
from webhooks import cursors, pruning, selectors
from webhooks.events import append
from webhooks.models import Counter, Delivery, Endpoint, Event
from webhooks.tests.test_pruning import aged


def _run(block: int, **names: str) -> None:
    text = (settings.BASE_DIR / "docs" / "decisions" / "0017-partitions.md").read_text()
    statements = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)[block]
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what the test wrote is checked now, and the table free
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        for name, value in names.items():
            statements = statements.replace(f"{{{name}}}", value)
        cursor.execute(statements)


def _foreign_key() -> str:
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(cursor, Delivery._meta.db_table)
    return next(name for name, one in constraints.items() if one["foreign_key"] == (Event._meta.db_table, "id"))


def _border(days: int) -> str:
    return str(to_uuid(first_id(timezone.now() + timedelta(days=days), "evt"), "evt"))


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no partitions")
def test_the_log_is_written_read_and_pruned_by_partitions(db: Any, alice: Person, hook: Endpoint, draft: Any) -> None:
    old = append([draft() for _ in range(4)] + [draft(instance_id=None, type="subscription.usage")])
    for event in old:
        aged(event, 40)
    start = selectors.read(alice.actor, cursors.BEGINNING, limit=2).positions
    _run(0, fk=_foreign_key(), border=_border(-20), next=_border(20))
    new = append([draft() for _ in range(3)])
    assert [event.sequence for event in new] == [5, 6, 7]
    found = selectors.read(alice.actor, start, limit=100)
    assert ([event.sequence for event in found.events][-3:], len(found.events), found.skipped) == ([5, 6, 7], 6, 0)
    assert Delivery.objects.count() == 8
    columns = {field.attname: getattr(new[0], field.attname) for field in Event._meta.fields}
    again = Event(**columns | {"id": first_id(timezone.now(), "evt")})
    with pytest.raises(IntegrityError), transaction.atomic():
        again.save(force_insert=True)
    while pruning._drop_deliveries():
        pass
    _run(1)
    assert Event.objects.count() == Delivery.objects.count() == 3
    assert sorted(Counter.objects.values_list("pruned", flat=True)) == [1, 4]
    found = selectors.read(alice.actor, start, limit=100)
    assert ([event.sequence for event in found.events], found.skipped) == ([5, 6, 7], 3)
    assert pruning.prune() is False
