"""The monthly quota of messages: exact under any concurrency, since one row per organization and network decides.

The sandbox has a meter of its own with the same limits and never eats the real quota.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.utils import timezone

from config.api.problems import Problem
from config.celery import app
from config.timestamps import iso
from subscriptions.models import Meter, Subscription, UsageAlert
from subscriptions.periods import period_at

PERCENTS = (80, 100)

_TABLE = Meter._meta.db_table
_RESERVE = f"""
UPDATE {_TABLE} SET used = used + %s
WHERE organization_id = %s AND network = %s AND used + %s <= "limit"
  AND ends_at > %s AND (expires_at IS NULL OR expires_at > %s)
RETURNING used, alert_at
"""  # noqa: S608 (the table's name is ours)
_RELEASE = f"""
UPDATE {_TABLE} SET used = CASE WHEN used > %s THEN used - %s ELSE 0 END
WHERE organization_id = %s AND network = %s AND starts_at <= %s
"""  # noqa: S608


class Threshold(NamedTuple):
    """A meter has reached ``percent`` of its limit, for the first time in this billing month."""

    percent: int
    used: int
    limit: int
    renews_at: datetime


class Granted(NamedTuple):
    """``granted`` of the wanted messages may be sent; ``refusal`` says why not more, None if all may."""

    granted: int
    refusal: Problem | None
    crossed: tuple[Threshold, ...]


def reserve(wanted: Mapping[tuple[str, str], int]) -> dict[tuple[str, str], Granted]:
    """Take messages from the quota, in the caller's transaction: ``wanted`` is {(organization, network): count}.

    What does not fit is not granted; what does is. A refusal is Problem ``quota_exceeded`` or
    ``subscription_expired``. Each meter stays locked until the transaction ends; they are locked in sorted order,
    so that no two calls can deadlock. One call per transaction, before anything that locks event counters.

    Raises Meter.DoesNotExist for an organization without a subscription.
    """
    assert connection.in_atomic_block, "the quota is taken in the transaction that uses it"
    return {key: _reserve(*key, wanted[key]) for key in sorted(wanted)}


def _moment(value: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(value)


def _id(organization_id: str) -> Any:
    return Meter._meta.get_field("organization").get_db_prep_value(organization_id, connection)


def _reserve(organization_id: str, network: str, count: int) -> Granted:
    now = _moment(timezone.now())
    with connection.cursor() as cursor:
        cursor.execute(_RESERVE, [count, _id(organization_id), network, count, now, now])
        row = cursor.fetchone()
    if row is None:
        return _reserve_what_fits(organization_id, network, count)
    used, alert_at = row
    if alert_at is None or used < alert_at:
        return Granted(count, None, ())
    return Granted(count, None, _alert(Meter.objects.get(organization_id=organization_id, network=network)))


def _reserve_what_fits(organization_id: str, network: str, count: int) -> Granted:
    """The long way: begin a new month, grant a part, or say why nothing can be granted."""
    locked = Meter.objects.select_for_update(no_key=True)
    meter = locked.get(organization_id=organization_id, network=network)
    now = timezone.now()
    if meter.expires_at is not None and meter.expires_at <= now:
        return Granted(0, expired(meter.expires_at), ())
    if meter.ends_at <= now:
        renew(meter, Subscription.objects.only("started_at").get(organization_id=organization_id), now)
    granted = max(0, min(count, meter.limit - meter.used))
    meter.used += granted
    meter.save(update_fields=["used", "alert_at", "starts_at", "ends_at"])
    crossed = _alert(meter) if granted and meter.alert_at is not None and meter.used >= meter.alert_at else ()
    return Granted(granted, exceeded(meter, now) if granted < count else None, crossed)


def renew(meter: Meter, subscription: Subscription, now: datetime) -> None:
    """Move a locked meter to the billing month of ``now``, unsaved."""
    meter.starts_at, meter.ends_at = period_at(subscription.started_at, now)
    meter.used, meter.alert_at = 0, first_alert(meter.limit)


def first_alert(limit: int) -> int:
    """The use at which the first alert is due."""
    return -(-limit * PERCENTS[0] // 100)


def exceeded(meter: Meter, now: datetime) -> Problem:
    """The refusal of a meter with no room left."""
    renews_at = iso(meter.ends_at)
    return Problem(
        "quota_exceeded",
        f"All {meter.limit} messages of this month on {meter.network} are used; it renews at {renews_at}.",
        headers={"Retry-After": str(max(1, -int(-(meter.ends_at - now).total_seconds() // 1)))},
        network=meter.network,
        limit=meter.limit,
        used=meter.used,
        renews_at=renews_at,
    )


def expired(at: datetime) -> Problem:
    """The refusal of a subscription that has ended."""
    return Problem("subscription_expired", f"The subscription ended at {iso(at)}.", expired_at=iso(at))


def _alert(meter: Meter) -> tuple[Threshold, ...]:
    """Note durably what the locked meter has reached, and have it mailed after the commit."""
    reached = {percent: -(-meter.limit * percent // 100) for percent in PERCENTS}
    meter.alert_at = next((use for use in reached.values() if use > meter.used), None)
    meter.save(update_fields=["alert_at"])
    month = UsageAlert.objects.filter(
        organization_id=meter.organization_id,
        network=meter.network,
        period_starts_at=meter.starts_at,
        limit=meter.limit,
    )
    told = set(month.values_list("percent", flat=True))
    alerts = [
        UsageAlert(
            organization_id=meter.organization_id,
            network=meter.network,
            period_starts_at=meter.starts_at,
            percent=percent,
            used=meter.used,
            limit=meter.limit,
            renews_at=meter.ends_at,
        )
        for percent, use in reached.items()
        if use <= meter.used and percent not in told
    ]
    UsageAlert.objects.bulk_create(alerts)
    for alert in alerts:
        # By its name, since the tasks are built on the services and these on this module. A lost one is swept up.
        transaction.on_commit(partial(app.send_task, "subscriptions.tasks.mail_alert", [alert.pk]), robust=True)
    return tuple(Threshold(alert.percent, alert.used, alert.limit, alert.renews_at) for alert in alerts)


def release(returned: Iterable[tuple[str, str, datetime]]) -> None:
    """Give back messages that ended unsent: (organization, network, when it was accepted), in the caller's transaction.

    What was accepted in an earlier month is not given back, since that month's quota is gone. The moment must not be
    later than the reservation. One statement per meter, in sorted order.
    """
    assert connection.in_atomic_block, "the quota is given back in the transaction that ends the message"
    accepted: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    for organization_id, network, moment in returned:
        accepted[organization_id, network].append(moment)
    for key in sorted(accepted):
        _release(*key, accepted[key])


def _release(organization_id: str, network: str, moments: list[datetime]) -> None:
    if _give_back(organization_id, network, len(moments), min(moments)):
        return
    meters = Meter.objects.select_for_update(no_key=True).filter(organization_id=organization_id, network=network)
    # No row: the organization is gone, and its quota with it.
    starts_at = meters.values_list("starts_at", flat=True).first()
    of_this_month = [moment for moment in moments if starts_at is not None and moment >= starts_at]
    if of_this_month:
        _give_back(organization_id, network, len(of_this_month), min(of_this_month))


def _give_back(organization_id: str, network: str, count: int, oldest: datetime) -> int:
    """How many rows it was: none if the meter's month began after the oldest message."""
    with connection.cursor() as cursor:
        cursor.execute(_RELEASE, [count, count, _id(organization_id), network, _moment(oldest)])
        return cursor.rowcount
