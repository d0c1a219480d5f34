"""The operators' dashboard: apps add figures and panels to it at start-up.

Each is built from a few bounded queries, kept in the cache for some seconds, and shown to operators who may
view what it counts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar

import redis
from django.core.cache import cache
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from config.api.health import project_version

Tone = Literal["", "success", "info", "warning", "danger"]
CAP = 10_000  # rows are counted up to here, so that a backlog does not slow the page that shows it
COLORS = {"success": "green-500", "info": "blue-500", "warning": "orange-500", "danger": "red-500", "": "base-400"}


@dataclass(frozen=True, slots=True)
class Figure:
    """One number, with a sentence below it."""

    title: str
    value: str
    note: str = ""
    url: str = ""
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Series:
    label: str
    values: Sequence[int]
    tone: Tone


@dataclass(frozen=True, slots=True)
class Bars:
    """Stacked bars over time: ``labels`` name the places on the x axis."""

    labels: Sequence[str]
    series: Sequence[Series]

    def data(self) -> str:
        """Chart.js's ``data`` in JSON."""
        datasets = [
            {"label": one.label, "data": list(one.values), "backgroundColor": f"var(--color-{COLORS[one.tone]})"}
            for one in self.series
        ]
        return json.dumps({"labels": list(self.labels), "datasets": datasets})

    def options(self) -> str:
        """Chart.js's ``options`` in JSON."""
        ticks = {"color": "#9ca3af", "maxRotation": 0, "precision": 0}
        axis = {"stacked": True, "border": {"width": 0}}
        legend = {"position": "top", "align": "end", "labels": {"color": "#9ca3af", "boxWidth": 8, "boxHeight": 8}}
        return json.dumps(
            {
                "animation": False,
                "maintainAspectRatio": False,
                "interaction": {"mode": "index", "intersect": False},
                "plugins": {"legend": legend},
                "scales": {
                    "x": axis | {"ticks": ticks | {"maxTicksLimit": 12}, "grid": {"display": False}},
                    "y": axis | {"ticks": ticks | {"maxTicksLimit": 5}, "grid": {"tickWidth": 0}, "beginAtZero": True},
                },
            }
        )


@dataclass(frozen=True, slots=True)
class Share:
    """One line of Shares; ``percent`` is the length of its bar."""

    label: str
    value: str
    percent: float
    tone: Tone = ""
    url: str = ""

    @property
    def color(self) -> str:
        return f"bg-{COLORS[self.tone]}"


@dataclass(frozen=True, slots=True)
class Shares:
    rows: Sequence[Share]
    empty: str


@dataclass(frozen=True, slots=True)
class Table:
    """Cells are texts, or what ``link``, ``label`` and ``age`` make."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    empty: str


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    body: Bars | Shares | Table
    note: str = ""
    url: str = ""

    @property
    def template(self) -> str:
        return f"config/dashboard/{type(self.body).__name__.lower()}.html"


T = TypeVar("T", Figure, Panel)


@dataclass(frozen=True, slots=True)
class _Source:
    build: Callable[[], Any]
    place: int
    permission: str
    seconds: int
    columns: int = 1

    @property
    def key(self) -> str:
        return f"dashboard:{project_version()}:{self.build.__module__}.{self.build.__qualname__}"


_figures: list[_Source] = []
_panels: list[_Source] = []


def figure(*, place: int, permission: str, seconds: int = 5) -> Callable[[Callable[[], Figure]], Callable[[], Figure]]:
    """Put the figure on the dashboard, ordered by ``place``, for operators with the permission."""

    def add(build: Callable[[], Figure]) -> Callable[[], Figure]:
        _figures.append(_Source(build, place, permission, seconds))
        return build

    return add


def panel(
    *, place: int, permission: str, seconds: int = 5, columns: int = 1
) -> Callable[[Callable[[], Panel]], Callable[[], Panel]]:
    """Like ``figure``, for a panel that is one or two of three columns wide."""

    def add(build: Callable[[], Panel]) -> Callable[[], Panel]:
        _panels.append(_Source(build, place, permission, seconds, columns))
        return build

    return add


def callback(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """UNFOLD's DASHBOARD_CALLBACK: what the index page shows to this operator."""
    allowed = [
        source
        for source in sorted([*_figures, *_panels], key=lambda source: source.place)
        if request.user.has_perm(source.permission)
    ]
    built = _built(allowed)
    figures = [built[source.key] for source in allowed if source in _figures]
    panels = [(built[source.key], source.columns) for source in allowed if source in _panels]
    return context | {"figures": figures, "panels": panels, "now": timezone.now(), "title": "Dashboard"}


def _built(sources: Sequence[_Source]) -> Mapping[str, Any]:
    """The figures and panels by key, from the cache where it has them; without a cache they are just built."""
    try:
        built = cache.get_many([source.key for source in sources])
    except redis.RedisError:
        return {source.key: source.build() for source in sources}
    for source in sources:
        if source.key not in built:
            built[source.key] = source.build()
            try:
                cache.set(source.key, built[source.key], timeout=source.seconds)
            except redis.RedisError:
                continue
    return built


# --- what figures and cells are made of ----------------------------------------------------------


def capped(queryset: QuerySet[Any]) -> int:
    """How many rows there are, at most CAP."""
    return queryset.order_by()[:CAP].count()


def number(count: int, cap: int | None = None) -> str:
    """``12,345``; with a plus sign when the count stopped at the cap."""
    return f"{count:,}+" if cap and count >= cap else f"{count:,}"


def some(count: int, noun: str) -> str:
    """``1 number``, ``2 numbers``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def age(since: datetime | None) -> str:
    """How long ago in the two largest units, or ``-``."""
    if since is None:
        return "-"
    seconds = max(0, int((timezone.now() - since).total_seconds()))
    for size, unit, smaller, small_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            rest = seconds % size // smaller
            return f"{seconds // size} {unit} {rest} {small_unit}" if rest else f"{seconds // size} {unit}"
    return f"{seconds} s"


def link(text: object, url: str) -> SafeString:
    return format_html('<a class="text-link truncate" href="{}">{}</a>', url, text)


def label(text: str, tone: Tone = "") -> SafeString:
    return render_to_string("unfold/helpers/label.html", {"text": text, "variant": tone, "size": "md"})
