"""What operators see at a glance: how many messages went which way, and what waits."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import redis
from django.core.cache import cache
from django.db.models import Count, Min
from django.urls import reverse
from django.utils import timezone

from config.dashboard import Bars, Figure, Panel, Series, Share, Shares, Tone, age, figure, number, panel
from config.ids import first_id
from messaging.models import Message
from messaging.states import Direction, Status

HOURS = 24
_SETTLED_SECONDS = 900  # how long the counts of an hour that is over are kept: receipts still change them
_Counts = Counter[tuple[str, str]]  # (direction, status) -> messages
TONES: dict[str, Tone] = {
    Status.SCHEDULED: "",
    Status.PREPARING: "",
    Status.HELD: "warning",
    Status.QUEUED: "",
    Status.SENDING: "",
    Status.SENT: "info",
    Status.DELIVERED: "success",
    Status.READ: "success",
    Status.PLAYED: "success",
    Status.FAILED: "danger",
    Status.CANCELLED: "",
    Status.UNCONFIRMED: "warning",
    Status.RECEIVED: "info",
}


def hourly() -> list[tuple[datetime, _Counts]]:
    """Messages of each of the last HOURS hours, the running one last, by direction and status.

    One range of the primary key for each hour; all but the running hour come from the cache.
    """
    running = timezone.now().replace(minute=0, second=0, microsecond=0)
    starts = [running - timedelta(hours=hours) for hours in range(HOURS - 1, -1, -1)]
    keys = {start: f"messages:{start:%Y%m%d%H}" for start in starts[:-1]}
    try:
        kept = cache.get_many(keys.values())
        missing = {key: _counts(start) for start, key in keys.items() if key not in kept}
        cache.set_many(missing, timeout=_SETTLED_SECONDS)
    except redis.RedisError:
        kept, missing = {}, {key: _counts(start) for start, key in keys.items()}
    known = kept | missing
    return [(start, known[keys[start]] if start in keys else _counts(start)) for start in starts]


def _counts(start: datetime) -> _Counts:
    first, end = first_id(start, "msg"), first_id(start + timedelta(hours=1), "msg")
    rows = Message.objects.filter(pk__gte=first, pk__lt=end).order_by().values_list("direction", "status")
    return Counter({(direction, status): n for direction, status, n in rows.annotate(Count("pk"))})


def _total(counts: _Counts, direction: str) -> int:
    return sum(n for (way, _), n in counts.items() if way == direction)


@figure(place=30, permission="messaging.view_message", seconds=15)
def messages() -> Figure:
    counts = sum((counts for _, counts in hourly()), _Counts())
    failed = counts[Direction.OUTBOUND, Status.FAILED]
    out, inbound = _total(counts, Direction.OUTBOUND), _total(counts, Direction.INBOUND)
    note = f"{out:,} out, {inbound:,} in" + (f", {failed:,} failed" if failed else "")
    url = reverse("admin:messaging_message_changelist")
    return Figure("Messages, 24 hours", number(out + inbound), note, url, "danger" if failed > out / 20 else "")


@figure(place=40, permission="messaging.view_message")
def waiting() -> Figure:
    # Not with parameters: SQLite would not see that the partial index "lane" has all these rows.
    lane = Message.objects.extra(where=["status IN ('queued', 'sending')"]).order_by()
    found = lane.aggregate(count=Count("instance_id"), oldest=Min("created_at"))
    seconds = (timezone.now() - found["oldest"]).total_seconds() if found["oldest"] else 0
    note = f"the oldest for {age(found['oldest'])}" if found["count"] else "Nothing waits"
    url = f"{reverse('admin:messaging_message_changelist')}?status__exact={Status.QUEUED}"
    tone: Tone = "danger" if seconds > 600 else "warning" if seconds > 60 else ""
    return Figure("Queued messages", number(found["count"]), note, url, tone)


@panel(place=100, permission="messaging.view_message", seconds=15, columns=2)
def messages_per_hour() -> Panel:
    hours = hourly()
    failed = [counts[Direction.OUTBOUND, Status.FAILED] for _, counts in hours]
    out = [_total(counts, Direction.OUTBOUND) for _, counts in hours]
    series = [
        Series("Out", [all_ - bad for all_, bad in zip(out, failed, strict=True)], "success"),
        Series("In", [_total(counts, Direction.INBOUND) for _, counts in hours], "info"),
        Series("Failed", failed, "danger"),
    ]
    return Panel("Messages per hour", Bars([f"{start:%H}:00" for start, _ in hours], series), "24 hours, UTC")


@panel(place=110, permission="messaging.view_message", seconds=15)
def outcomes() -> Panel:
    counts = sum((counts for _, counts in hourly()), _Counts())
    total = _total(counts, Direction.OUTBOUND)
    address = reverse("admin:messaging_message_changelist")
    shares = [
        Share(
            status.label,
            f"{n:,} · {100 * n / total:.1f} %",
            100 * n / total,
            TONES.get(status, ""),
            f"{address}?direction__exact={Direction.OUTBOUND}&status__exact={status}",
        )
        for status in Status
        if (n := counts[Direction.OUTBOUND, status])
    ]
    return Panel("Outcomes", Shares(shares, "No message was sent within 24 hours."), "of what was sent in 24 hours")
