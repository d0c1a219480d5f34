"""Billing months: anchored at the moment a subscription began."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from dateutil.relativedelta import relativedelta


class Period(NamedTuple):
    """From ``starts_at`` (included) to ``ends_at`` (excluded), both in UTC."""

    starts_at: datetime
    ends_at: datetime


def _month(anchor: datetime, number: int) -> datetime:
    # Counted from the anchor each time: 31 January, 28 February, 31 March, and never 28 March.
    return anchor + relativedelta(months=number)


def period_at(anchor: datetime, moment: datetime) -> Period:
    """The billing month in which a moment lies; the first one for moments before the anchor."""
    anchor, moment = anchor.astimezone(UTC), moment.astimezone(UTC)
    number = (moment.year - anchor.year) * 12 + moment.month - anchor.month
    if _month(anchor, number) > moment:
        number -= 1
    number = max(number, 0)
    return Period(_month(anchor, number), _month(anchor, number + 1))
