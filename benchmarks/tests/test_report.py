"""The arithmetic and the shape of what is printed; how fast anything is stands nowhere here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.report import Row, head, milliseconds, percentile, table, write

ROWS = [
    Row("accept.sending.1", "POST /api/messages", 1234.5, "req/s", p50_ms=3.217, p99_ms=31.4, note="of 5,000"),
    Row("number.ratio", "full lane / bare loop", 0.754, "ratio"),
]


@pytest.mark.parametrize(("percent", "expected"), [(1, 1), (50, 50), (99, 99), (100, 100)])
def test_of_a_hundred_values_each_percentile_is_one_of_them(percent: float, expected: int) -> None:
    assert percentile(range(100, 0, -1), percent) == expected


def test_a_single_value_is_every_percentile() -> None:
    assert percentile([7.0], 50) == percentile([7.0], 99) == 7.0


def test_no_values_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.1, 100))
def test_so_many_values_do_not_exceed_a_percentile_and_no_smaller_value_does_it(
    values: list[float], percent: float
) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) >= len(values) * percent / 100 - 1e-6
    assert sum(value < found for value in values) < len(values) * percent / 100 + 1e-6


def test_times_become_milliseconds() -> None:
    assert milliseconds([0.001, 0.002, 0.004]) == {"p50_ms": 2.0, "p99_ms": 4.0}


def test_the_table_has_a_head_and_a_line_for_each_row_in_columns() -> None:
    lines = table(head("sqlite"), ROWS).splitlines()
    assert "sqlite" in lines[1]
    titles, first, second = lines[3], lines[5], lines[6]
    assert [first.split("  ")[0], second.split("  ")[0]] == ["POST /api/messages", "full lane / bare loop"]
    for figure, title in (("1,234", "value"), ("3.22", "p50 ms"), ("31.4", "p99 ms")):
        assert first.index(figure) + len(figure) == titles.index(title) + len(title)
    assert second.split()[-2:] == ["0.75", "ratio"]
    assert first.endswith("of 5,000")


def test_the_document_holds_every_figure_unrounded(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "bench.json"
    write(path, head("postgres"), {"messages": 5}, ROWS)
    document = json.loads(path.read_text())
    assert document["head"].keys() >= {"cpu", "cores", "memory_gb", "python", "commit", "database"}
    assert document["head"]["database"] == "postgres"
    assert document["sizes"] == {"messages": 5}
    assert [row["value"] for row in document["rows"]] == [1234.5, 0.754]
    assert document["rows"][0]["p50_ms"] == 3.217
