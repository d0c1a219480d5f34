"""What operators see at a glance: numbers by state, and the workers that hold them."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db.models import Count, Q
from django.urls import reverse
from django.utils import timezone

from config.dashboard import Figure, Panel, Share, Shares, Table, Tone, age, figure, label, link, number, panel, some
from instances.models import Instance, Worker
from instances.states import ENDED, State, Wanted

_ROWS = 8
_REMEMBERED = timedelta(days=1)  # a worker that went away is shown for so long
TONES: dict[str, Tone] = {
    State.CONNECTED: "success",
    State.CONNECTING: "info",
    State.LINKING: "info",
    State.RECONNECTING: "warning",
    **dict.fromkeys(ENDED, "danger"),
}


def _numbers(**filters: str) -> str:
    query = "&".join(f"{name}__exact={value}" for name, value in filters.items())
    return f"{reverse('admin:instances_instance_changelist')}?{query}"


def heartbeat(worker: Worker) -> str:
    """The age of the last sign of life, marked when it is older than a lease."""
    dead = timezone.now() - worker.heartbeat_at > timedelta(seconds=settings.LEASE_SECONDS)
    return label(f"gone for {age(worker.heartbeat_at)}", "danger") if dead else f"{age(worker.heartbeat_at)} ago"


@figure(place=20, permission="instances.view_instance")
def connected() -> Figure:
    wanted = Q(wanted=Wanted.CONNECTED)
    counts = Instance.objects.aggregate(
        should=Count("pk", wanted),
        online=Count("pk", Q(state=State.CONNECTED)),
        ended=Count("pk", wanted & Q(state__in=ENDED)),
    )
    note = f"of {some(counts['should'], 'instance')} that should be"
    if counts["ended"]:
        note += f"; {counts['ended']:,} cannot"
    return Figure(
        "Instances online",
        number(counts["online"]),
        note,
        _numbers(state=State.CONNECTED),
        "danger" if counts["ended"] else "warning" if counts["online"] < counts["should"] else "",
    )


@figure(place=60, permission="instances.view_worker")
def workers() -> Figure:
    live = list(Worker.objects.live().annotate(numbers=Count("held")))
    capacity, held = sum(worker.capacity for worker in live), sum(worker.numbers for worker in live)
    gone = Worker.objects.filter(heartbeat_at__gt=timezone.now() - _REMEMBERED).count() - len(live)
    note = f"{held:,} of {capacity:,} places taken" if live else "No instance can connect"
    if gone:
        note += f"; {gone:,} gone today"
    url = reverse("admin:instances_worker_changelist")
    return Figure("Session workers", number(len(live)), note, url, "" if live else "danger")


@panel(place=120, permission="instances.view_instance")
def states() -> Panel:
    counts = dict(Instance.objects.order_by().values_list("state").annotate(Count("pk")))
    total = sum(counts.values())
    shares = [
        Share(
            state.label, number(counts[state]), 100 * counts[state] / total, TONES.get(state, ""), _numbers(state=state)
        )
        for state in State
        if state in counts
    ]
    return Panel("Instances by state", Shares(shares, "There is no instance yet."))


@panel(place=130, permission="instances.view_worker", columns=2)
def heartbeats() -> Panel:
    recent = Worker.objects.filter(heartbeat_at__gt=timezone.now() - _REMEMBERED).annotate(numbers=Count("held"))
    url = reverse("admin:instances_worker_changelist")
    rows = [
        (
            link(worker.name, reverse("admin:instances_worker_change", args=(worker.pk,))),
            worker.get_network_display(),
            f"{worker.numbers:,} of {worker.capacity:,}",
            heartbeat(worker),
        )
        for worker in recent.order_by("-heartbeat_at")[:_ROWS]
    ]
    headers = ("Worker", "Network", "Instances", "Heartbeat")
    return Panel("Session workers", Table(headers, rows, "No session worker ran within a day."), url=url)
