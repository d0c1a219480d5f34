from __future__ import annotations

import hashlib
import threading
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections, transaction

from audit.hashing import canonical, digest
from audit.models import NO_HASH, Chain, Entry
from audit.services import record
from config import context
from config.context import Origin
from config.ids import new_id

pytestmark = [pytest.mark.django_db, pytest.mark.every_case]


def test_an_entry_says_who_did_what_from_where() -> None:
    organization_id = new_id("org")
    token = context.enter(Origin("api", "req_1", "203.0.113.7", "key", "key_1", "Shop", organization_id))
    record("instance:created", organization_id=organization_id, subject="ins_1", changes={"name": [None, "Support"]})
    context.leave(token)
    entry = Entry.objects.get()
    assert (entry.tag, entry.subject) == ("api:instance:created", "ins_1")
    assert (entry.actor_kind, entry.actor_id, entry.actor_name) == ("key", "key_1", "Shop")
    assert (entry.address, entry.request_id) == ("203.0.113.7", "req_1")
    assert entry.changes == {"name": [None, "Support"]}


def test_each_organization_has_a_chain_of_its_own_and_the_platform_one() -> None:
    one, other = new_id("org"), new_id("org")
    for organization_id in (one, other, None, one, None):
        record("plan:changed", organization_id=organization_id)
    for organization_id in (one, None):
        first, second = Entry.objects.filter(organization_id=organization_id).order_by("sequence")
        assert (first.sequence, second.sequence) == (1, 2)
        assert (first.previous, second.previous) == (NO_HASH, first.hash)
        head = Chain.objects.get(pk=organization_id or "platform")
        assert (head.sequence, head.hash) == (2, second.hash)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 0, -1, 2**70, 1.5, -0.0, 1e22, float("nan"), Decimal("1.10"), "", "é𝄞", "a\x00b", "\ud800"),
        *([1, [2.5, {"z": 1, "aa": 2}]], {"z": 1, "aa": [None]}, {"\x00": "x"}, {3, 1}, ("a",)),
        *(datetime(2026, 1, 31, 12, tzinfo=UTC), object),
    ],
)
def test_the_hash_of_a_row_that_is_read_is_the_one_that_was_written(value: Any) -> None:
    record("thing:changed", organization_id=new_id("org"), subject="s" * 300, changes={"value": value})
    entry = Entry.objects.get()
    assert entry.hash == digest(entry)


def test_the_canonical_form_is_what_the_docs_say() -> None:
    entry = Entry(
        id="aud_01h455vb4pex5vsknk084sn02q",
        organization_id="org_01h455vb4pex5vsknk084sn02r",
        sequence=7,
        tag="api:key:created",
        actor_kind="user",
        actor_id="usr_1",
        actor_name="zoë@example.com",
        changes={"b": 1, "a": [None, "x"]},
        at=datetime(2026, 1, 31, 12, tzinfo=UTC),
        previous=NO_HASH,
    )
    assert canonical(entry) == (
        b'{"actor_id":"usr_1","actor_kind":"user","actor_name":"zo\\u00eb@example.com","address":"",'
        b'"at":"2026-01-31T12:00:00.000000Z","changes":{"a":[null,"x"],"b":1},"id":"aud_01h455vb4pex5vsknk084sn02q",'
        b'"organization_id":"org_01h455vb4pex5vsknk084sn02r","previous":"' + NO_HASH.encode() + b'","request_id":"",'
        b'"sequence":7,"subject":"","tag":"api:key:created"}'
    )
    assert digest(entry) == hashlib.sha256(canonical(entry)).hexdigest()


def test_an_act_that_is_rolled_back_leaves_no_entry() -> None:
    with transaction.atomic():
        record("key:created", organization_id=None)
        transaction.set_rollback(True)
    assert not Entry.objects.exists()
    assert not Chain.objects.exists()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET subject = 'x'",
        "DELETE FROM audit_entry",
        "UPDATE audit_chain SET sequence = 0",
        "UPDATE audit_chain SET name = 'x'",
        "DELETE FROM audit_chain",
        "TRUNCATE audit_entry",
        "TRUNCATE audit_chain",
        "INSERT OR REPLACE INTO audit_entry SELECT * FROM audit_entry",
    ],
)
def test_the_database_refuses_to_change_or_remove_what_was_recorded(statement: str) -> None:
    if statement.startswith("TRUNCATE" if connection.vendor == "sqlite" else "INSERT OR"):
        pytest.skip("this database does not know the statement")
    record("key:created", organization_id=None)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert Entry.objects.get().subject == ""
    assert Chain.objects.get().sequence == 1


@pytest.mark.usefixtures("committed")
def test_writers_at_the_same_time_make_one_chain() -> None:
    organization_id = new_id("org")

    def write() -> None:
        for _ in range(10):
            record("key:created", organization_id=organization_id)
        connections.close_all()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = list(Entry.objects.order_by("sequence"))
    assert [entry.sequence for entry in entries] == list(range(1, 41))
    assert all(after.previous == before.hash for before, after in pairwise(entries))


@pytest.mark.usefixtures("committed")
def test_writers_of_different_organizations_do_not_wait_for_each_other() -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    done = threading.Event()

    def write() -> None:
        record("key:created", organization_id=new_id("org"))
        connections.close_all()
        done.set()

    with transaction.atomic():
        record("key:created", organization_id=new_id("org"))
        threading.Thread(target=write).start()
        assert done.wait(10)
