from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from config import dashboard
from config.dashboard import Bars, Series


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty dashboard, to which a test adds its own."""
    monkeypatch.setattr(dashboard, "_figures", [])
    monkeypatch.setattr(dashboard, "_panels", [])
    cache.clear()
    yield
    cache.clear()


@pytest.mark.parametrize(
    ("ago", "words"),
    [
        (timedelta(seconds=0), "0 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(minutes=1), "1 min"),
        (timedelta(minutes=6, seconds=43), "6 min 43 s"),
        (timedelta(hours=5, minutes=2), "5 h 2 min"),
        (timedelta(days=3, hours=1, minutes=59), "3 d 1 h"),
        (timedelta(seconds=-5), "0 s"),
    ],
)
def test_an_age_is_told_in_its_two_largest_units(ago: timedelta, words: str) -> None:
    assert dashboard.age(timezone.now() - ago) == words


def test_a_moment_that_never_was_has_no_age() -> None:
    assert dashboard.age(None) == "-"


def test_a_count_that_stopped_at_its_cap_says_so() -> None:
    assert dashboard.number(12_345) == "12,345"
    assert dashboard.number(9_999, cap=10_000) == "9,999"
    assert dashboard.number(10_000, cap=10_000) == "10,000+"


def test_bars_are_what_the_chart_library_takes() -> None:
    bars = Bars(["10:00", "11:00"], [Series("In", [1, 2], "info"), Series("Failed", [0, 1], "danger")])
    data, options = json.loads(bars.data()), json.loads(bars.options())
    assert data["labels"] == ["10:00", "11:00"]
    assert [(one["label"], one["data"]) for one in data["datasets"]] == [("In", [1, 2]), ("Failed", [0, 1])]
    assert data["datasets"][1]["backgroundColor"] == "var(--color-red-500)"
    assert options["scales"]["y"]["stacked"] is True


def test_a_link_cannot_smuggle_in_markup() -> None:
    assert dashboard.link("<b>", '"><script>') == (
        '<a class="text-link truncate" href="&quot;&gt;&lt;script&gt;">&lt;b&gt;</a>'
    )
