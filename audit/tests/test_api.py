from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from audit import selectors
from audit.models import Entry
from audit.services import record
from config import context
from config.context import Origin
from conftest import Person, assert_problem

pytestmark = [pytest.mark.django_db, pytest.mark.every_case]


@pytest.fixture
def written(alice: Person) -> Callable[..., Entry]:
    """Writes an entry of Alice's organization: an action, and fields of its origin."""

    def write(action: str, subject: str = "", changes: Any = None, **origin: Any) -> Entry:
        token = context.enter(Origin(**{"source": "api"} | origin))
        try:
            return record(action, organization_id=alice.organization.id, subject=subject, changes=changes)
        finally:
            context.leave(token)

    return write


def found(person: Person, **query: str) -> list[dict[str, Any]]:
    answer = person.client.get("/api/audit", query)
    assert answer.status_code == 200, answer.content
    return list(answer.json()["results"])


def test_an_entry_tells_who_did_what_and_from_where(alice: Person) -> None:
    made = alice.client.post(
        "/api/instances",
        {"name": "Support", "network": "sandbox"},
        format="json",
        headers={"X-Request-Id": "mine-1"},
        REMOTE_ADDR="203.0.113.7",
    ).json()
    (entry,) = found(alice, subject=made["id"])
    assert entry["tag"] == "api:instance:created"
    assert entry["actor"] == {"kind": "user", "id": alice.user.id, "name": "alice@example.com"}
    assert (entry["address"], entry["request_id"]) == ("203.0.113.7", "mine-1")
    assert entry["changes"] == {"name": "Support", "network": "sandbox"}


def test_the_newest_comes_first_in_pages(alice: Person, written: Callable[..., Entry]) -> None:
    subjects = [written("key:created", f"key_{number}").subject for number in range(5)]
    page = alice.client.get("/api/audit", {"limit": 2, "tag": "key"}).json()
    seen = [entry["subject"] for entry in page["results"]]
    while page["next"]:
        page = alice.client.get(page["next"]).json()
        seen += [entry["subject"] for entry in page["results"]]
    assert seen == subjects[::-1]


@pytest.mark.parametrize(
    ("tag", "matches"),
    [
        ("api", {"api:key:created", "api:key:revoked"}),
        ("key", {"api:key:created", "api:key:revoked", "admin:key:created"}),
        ("key:created", {"api:key:created", "admin:key:created"}),
        ("created", {"api:key:created", "admin:key:created"}),
        ("admin:key:created", {"admin:key:created"}),
        ("ke", set()),
        ("%", set()),
        ("api:key:", set()),
    ],
)
def test_a_tag_is_found_by_its_whole_parts(
    alice: Person, written: Callable[..., Entry], tag: str, matches: set[str]
) -> None:
    written("key:created", "key_1")
    written("key:revoked", "key_1")
    written("key:created", "key_1", source="admin", actor_kind="operator")
    assert {entry["tag"] for entry in found(alice, tag=tag, subject="key_1")} == matches


def test_entries_are_found_by_actor_subject_and_request(alice: Person, written: Callable[..., Entry]) -> None:
    mine = written("key:created", "key_1", actor_kind="key", actor_id="key_9", actor_name="Shop", request_id="r1")
    written("key:created", "key_2", actor_kind="key", actor_id="key_8", actor_name="Bot", request_id="r2")
    for query in ({"actor": "key_9"}, {"actor": "Shop"}, {"subject": "key_1"}, {"request_id": "r1"}):
        assert [entry["id"] for entry in found(alice, **query)] == [mine.id]


def test_entries_are_found_by_time(alice: Person, written: Callable[..., Entry], monkeypatch: Any) -> None:
    for day in (1, 2, 3):
        monkeypatch.setattr("django.utils.timezone.now", lambda day=day: datetime(2020, 1, day, tzinfo=UTC))
        written("key:created", f"key_{day}")
    monkeypatch.undo()
    between = found(alice, since="2020-01-02T00:00:00Z", until="2020-01-03T01:00:00+01:00")
    assert [entry["subject"] for entry in between] == ["key_2"]


@pytest.mark.parametrize("query", [{"since": "yesterday"}, {"since": "2026-01-31"}, {"until": "2026-01-31T12:00:00"}])
def test_a_filter_that_is_none_is_refused(alice: Person, query: dict[str, str]) -> None:
    assert_problem(alice.client.get("/api/audit", query), 400, "invalid_request")


def test_a_filter_that_does_not_exist_is_refused(alice: Person) -> None:
    assert_problem(alice.client.get("/api/audit", {"tags": "x"}), 400, "unknown_parameter")


def test_only_owners_and_admins_may_look(alice: Person, bob: Person, rita: Person) -> None:
    for person in (bob, rita):
        assert_problem(person.client.get("/api/audit"), 403, "permission_denied")
    assert_problem(alice.program().get("/api/audit"), 403, "missing_scope")


def test_another_organization_sees_nothing_of_it(charlie: Person, written: Callable[..., Entry]) -> None:
    written("key:created", "key_1")
    assert found(charlie, subject="key_1") == []


def test_an_operator_is_not_named(alice: Person, written: Callable[..., Entry]) -> None:
    operator = {"actor_kind": "operator", "actor_id": "usr_1", "actor_name": "op@example.com", "address": "203.0.113.9"}
    written("organization:suspended", source="admin", **operator)
    (entry,) = found(alice, tag="organization:suspended")
    assert entry["actor"] == {"kind": "operator", "id": None, "name": None}
    assert entry["address"] is None
    assert found(alice, actor="op@example.com") == []


@pytest.mark.parametrize("ask", [{"query_params": {"format": "csv"}}, {"headers": {"Accept": "text/csv"}}])
def test_everything_that_matches_is_exported(
    alice: Person, written: Callable[..., Entry], ask: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selectors, "_STEP", 2)
    for number in range(5):
        written("key:created", f"=key_{number}", {"name": 'a,\n"b"'}, actor_name="@SUM(A1)")
    answer = alice.client.get("/api/audit", **ask)
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/csv; charset=utf-8")
    rows = list(csv.DictReader(io.StringIO(answer.getvalue().decode())))
    mine = [row for row in rows if row["tag"] == "api:key:created"]
    assert [row["subject"] for row in mine] == [f"'=key_{number}" for number in (4, 3, 2, 1, 0)]
    assert mine[0]["actor_name"] == "'@SUM(A1)"
    assert mine[0]["changes"] == '{"name": "a,\\n\\"b\\""}'


def test_an_export_that_is_refused_says_why(alice: Person) -> None:
    answer = alice.client.get("/api/audit", {"format": "csv", "since": "yesterday"})
    assert_problem(answer, 400, "invalid_request")
