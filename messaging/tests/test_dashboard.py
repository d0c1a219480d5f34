from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone

from config.dashboard import Bars, Shares
from config.ids import first_id
from conftest import Person
from instances.models import Instance
from messaging import dashboard
from messaging.models import Message
from messaging.states import Direction, Status

Write = Callable[..., Message]


@pytest.fixture(autouse=True)
def _nothing_is_cached() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def write(alice: Person, instance: Instance) -> Write:
    """Writes a message of Alice's as it would have been written some time ago."""

    def write(direction: str, status: str, ago: timedelta = timedelta(), **columns: Any) -> Message:
        at: datetime = timezone.now() - ago
        if ago:
            columns["id"] = first_id(at, "msg")
        return Message.objects.create(
            organization=alice.organization,
            instance=instance,
            direction=direction,
            status=status,
            type="text",
            content={"body": "Hello"},
            chat="15550100001@s.whatsapp.net",
            created_at=at,
            **columns,
        )

    return write


def _series() -> dict[str, list[int]]:
    body = dashboard.messages_per_hour().body
    assert isinstance(body, Bars)
    assert len(body.labels) == dashboard.HOURS
    return {one.label: list(one.values) for one in body.series}


def test_each_hour_tells_out_in_and_failed(write: Write) -> None:
    write(Direction.OUTBOUND, Status.SENT)
    write(Direction.OUTBOUND, Status.FAILED)
    write(Direction.INBOUND, Status.RECEIVED)
    write(Direction.INBOUND, Status.RECEIVED, timedelta(hours=3))
    write(Direction.OUTBOUND, Status.READ, timedelta(hours=23))
    write(Direction.OUTBOUND, Status.READ, timedelta(hours=25))
    series = _series()
    assert {label: values[-1] for label, values in series.items()} == {"Out": 1, "In": 1, "Failed": 1}
    assert series["In"][-4] == 1
    assert series["Out"][0] == 1
    assert sum(map(sum, series.values())) == 5


def test_hours_that_are_over_are_not_counted_again_and_again(write: Write) -> None:
    write(Direction.INBOUND, Status.RECEIVED, timedelta(hours=3))
    assert sum(_series()["In"]) == 1
    write(Direction.INBOUND, Status.RECEIVED, timedelta(hours=3, milliseconds=1))
    write(Direction.INBOUND, Status.RECEIVED)
    assert sum(_series()["In"]) == 2


def test_the_figure_is_the_sum_of_the_hours(write: Write) -> None:
    write(Direction.OUTBOUND, Status.DELIVERED)
    write(Direction.OUTBOUND, Status.FAILED)
    write(Direction.INBOUND, Status.RECEIVED, timedelta(hours=3))
    figure = dashboard.messages()
    assert (figure.value, figure.note) == ("3", "2 out, 1 in, 1 failed")
    assert figure.tone == "danger"


def test_outcomes_are_shares_of_what_was_sent(write: Write) -> None:
    for status in (Status.READ, Status.READ, Status.READ, Status.UNCONFIRMED):
        write(Direction.OUTBOUND, status)
    write(Direction.INBOUND, Status.RECEIVED)
    body = dashboard.outcomes().body
    assert isinstance(body, Shares)
    assert [(row.label, row.percent) for row in body.rows] == [("Read", 75.0), ("Unconfirmed", 25.0)]


@pytest.mark.parametrize(
    ("ago", "tone"), [(timedelta(), ""), (timedelta(minutes=2), "warning"), (timedelta(minutes=20), "danger")]
)
def test_the_longer_the_oldest_waits_the_louder_the_queue(write: Write, ago: timedelta, tone: str) -> None:
    write(Direction.OUTBOUND, Status.QUEUED, ago)
    write(Direction.OUTBOUND, Status.SENT, timedelta(hours=1))
    figure = dashboard.waiting()
    assert (figure.value, figure.tone) == ("1", tone)


def test_an_empty_queue_says_so(db: None) -> None:
    assert (dashboard.waiting().value, dashboard.waiting().note) == ("0", "Nothing waits")
