from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriptions.periods import period_at


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "begin", "end"),
    [
        (utc(2027, 1, 31, 9), utc(2027, 1, 31, 9), utc(2027, 2, 28, 9)),
        (utc(2027, 2, 28, 8, 59, 59), utc(2027, 1, 31, 9), utc(2027, 2, 28, 9)),
        (utc(2027, 2, 28, 9), utc(2027, 2, 28, 9), utc(2027, 3, 31, 9)),
        (utc(2027, 3, 30), utc(2027, 2, 28, 9), utc(2027, 3, 31, 9)),
        (utc(2027, 3, 31, 9), utc(2027, 3, 31, 9), utc(2027, 4, 30, 9)),
        (utc(2028, 2, 29, 12), utc(2028, 2, 29, 9), utc(2028, 3, 31, 9)),
    ],
)
def test_months_are_anchored_at_the_day_the_subscription_began(
    moment: datetime, begin: datetime, end: datetime
) -> None:
    assert period_at(utc(2027, 1, 31, 9), moment) == (begin, end)


def test_a_moment_before_the_start_lies_in_the_first_month() -> None:
    start = utc(2027, 1, 15)
    assert period_at(start, start - timedelta(seconds=1)) == (start, utc(2027, 2, 15))


def test_a_start_in_another_time_zone_counts_in_utc() -> None:
    start = datetime(2027, 1, 31, 23, tzinfo=timezone(timedelta(hours=-5)))
    assert period_at(start, start) == (utc(2027, 2, 1, 4), utc(2027, 3, 1, 4))


moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


@given(anchor=moments, later=st.timedeltas(timedelta(0), timedelta(days=20_000)))
def test_the_months_cover_time_without_gap_or_overlap(anchor: datetime, later: timedelta) -> None:
    moment = anchor + later
    period = period_at(anchor, moment)
    assert period.starts_at <= moment < period.ends_at
    assert timedelta(days=28) <= period.ends_at - period.starts_at <= timedelta(days=31)
    assert period_at(anchor, period.ends_at).starts_at == period.ends_at
    assert period.starts_at.day == anchor.day or (period.starts_at + timedelta(days=1)).day == 1
