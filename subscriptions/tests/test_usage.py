from __future__ import annotations

import csv
import io
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.models import ApiKey, Organization
from config.api.csv import defused
from config.ids import new_id
from conftest import Person, assert_problem
from subscriptions import usage
from subscriptions.models import DailyUsage

pytestmark = pytest.mark.django_db
FIRST, SECOND = new_id("ins"), new_id("ins")


def add(person: Person, *rows: tuple[str, ...], day: date | None = None) -> None:
    """Counts (network, instance, type, direction) rows, on another day than today if one is given."""
    with transaction.atomic():
        usage.add([(person.organization.id, *row) for row in rows])  # type: ignore[misc]
    if day:
        DailyUsage.objects.filter(day=timezone.now().date()).update(day=day)


def report(person: Person, **query: Any) -> dict[str, Any]:
    answer = person.client.get("/api/usage", query)
    assert answer.status_code == 200, answer.content
    return dict(answer.json())


TEXT, IMAGE = ("sandbox", FIRST, "text", "outbound"), ("sandbox", FIRST, "image", "outbound")
REAL, INBOUND = ("whatsapp", SECOND, "text", "outbound"), ("whatsapp", SECOND, "text", "inbound")


def test_messages_are_counted_by_day(alice: Person, charlie: Person) -> None:
    today = timezone.now().date()
    add(alice, TEXT, TEXT, IMAGE, day=today - timedelta(days=1))
    add(alice, TEXT, REAL, INBOUND)
    add(alice, TEXT)
    add(charlie, TEXT)
    body = report(alice)
    assert body["results"] == [
        {"day": (today - timedelta(days=1)).isoformat(), "outbound": 3, "inbound": 0},
        {"day": today.isoformat(), "outbound": 3, "inbound": 1},
    ]
    assert body["total"] == {"outbound": 6, "inbound": 1}
    assert (body["from"], body["to"]) == ((today - timedelta(days=29)).isoformat(), today.isoformat())


def test_they_are_summed_by_whatever_is_asked_for(alice: Person) -> None:
    add(alice, TEXT, TEXT, IMAGE, REAL, INBOUND)
    assert report(alice, group="type")["results"] == [
        {"type": "image", "outbound": 1, "inbound": 0},
        {"type": "text", "outbound": 3, "inbound": 1},
    ]
    rows = report(alice, group="network,instance")["results"]
    assert rows == [
        {"network": "sandbox", "instance": FIRST, "outbound": 3, "inbound": 0},
        {"network": "whatsapp", "instance": SECOND, "outbound": 1, "inbound": 1},
    ]
    assert report(alice, group="type,type")["group"] == ["type"]
    assert report(alice, network="whatsapp")["total"] == {"outbound": 1, "inbound": 1}


def test_a_span_takes_both_its_ends(alice: Person) -> None:
    for day in range(1, 6):
        add(alice, TEXT, day=date(2027, 3, day))
    span = {"from": "2027-03-02", "to": "2027-03-04"}
    assert [row["day"][-1] for row in report(alice, **span)["results"]] == ["2", "3", "4"]
    assert report(alice, **{"to": "2027-03-01"})["total"]["outbound"] == 1


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"from": "2027-02-30"}, "/from"),
        ({"from": "20270201"}, "/from"),
        ({"to": "0001-01-01"}, "/to"),
        ({"to": "2027-W05-1"}, "/to"),
        ({"to": "202\u0667-01-01"}, "/to"),
        ({"from": "2027-02-02", "to": "2027-02-01"}, "/from"),
        ({"from": "2025-01-01", "to": "2026-01-02"}, "/from"),
        ({"group": "hour"}, "/group"),
        ({"group": "day,"}, "/group"),
        ({"group": ""}, "/group"),
        ({"network": "telegram"}, "/network"),
    ],
)
def test_a_report_that_cannot_be_is_refused(alice: Person, query: dict[str, str], pointer: str) -> None:
    body = assert_problem(alice.client.get("/api/usage", query), 400, "invalid_request")
    assert body["errors"][0]["pointer"] == pointer


def test_a_key_sees_its_own_network_and_its_own_instances(alice: Person) -> None:
    add(alice, TEXT, IMAGE, REAL, ("whatsapp", FIRST, "text", "inbound"))
    key = alice.program("read", mode="live")
    assert key.get("/api/usage").json()["total"] == {"outbound": 1, "inbound": 1}
    assert key.get("/api/usage", {"network": "sandbox"}).json()["results"] == []
    narrow = alice.program("read", mode="live")
    ApiKey.objects.update(instances=[SECOND])
    assert narrow.get("/api/usage").json()["total"] == {"outbound": 1, "inbound": 0}


def test_everybody_who_may_read_sees_it(alice: Person, rita: Person) -> None:
    add(alice, TEXT)
    assert report(rita)["total"]["outbound"] == 1
    assert_problem(alice.program("send").get("/api/usage"), 403, "missing_scope")


@pytest.mark.parametrize("ask", [{"query_params": {"format": "csv"}}, {"headers": {"Accept": "text/csv"}}])
def test_it_comes_as_csv(alice: Person, ask: dict[str, Any]) -> None:
    add(alice, TEXT, TEXT, INBOUND)
    query = {"group": "day,type,instance", **ask.get("query_params", {})}
    answer = alice.client.get("/api/usage", query, headers=ask.get("headers"))
    assert (answer.status_code, answer["Content-Type"].split(";")[0]) == (200, "text/csv")
    today = timezone.now().date().isoformat()
    assert list(csv.reader(io.StringIO(answer.content.decode()))) == [
        ["day", "type", "instance", "outbound", "inbound"],
        [today, "text", FIRST, "2", "0"],
        [today, "text", SECOND, "0", "1"],
    ]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_what_a_spreadsheet_would_calculate_is_a_text(text: str) -> None:
    assert defused(text) == f"'{text}"


@pytest.mark.parametrize("value", ["text", "", "a=1", -5, 0, None])
def test_everything_else_stays_as_it_is(value: object) -> None:
    assert defused(value) == value


messages = st.tuples(
    st.sampled_from([("sandbox", FIRST), ("whatsapp", SECOND)]),
    st.sampled_from(["text", "image"]),
    st.sampled_from(["inbound", "outbound"]),
)


@settings(max_examples=20)
@given(batches=st.lists(st.lists(messages, max_size=20), max_size=5))
def test_the_sums_are_exact(batches: list[list[tuple[tuple[str, str], str, str]]]) -> None:
    everything = [message for batch in batches for message in batch]
    with transaction.atomic():
        organization = Organization.objects.create(name="Acme")
        for batch in batches:
            usage.add((organization.id, *number, type_, direction) for number, type_, direction in batch)
        counted = DailyUsage.objects.filter(organization=organization)
        by_key = {(row.instance, row.type, row.direction): row.count for row in counted}
        transaction.set_rollback(True)
    expected: dict[tuple[str, str, str], int] = {}
    for (_, instance), type_, direction in everything:
        expected[instance, type_, direction] = expected.get((instance, type_, direction), 0) + 1
    assert by_key == expected
