"""The figures and how they are shown: rows, percentiles, the table, the JSON document."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Row:
    """One line of the table. ``key`` is for programs and stays the same between versions; times are milliseconds."""

    key: str
    name: str
    value: float
    unit: str
    p50_ms: float | None = None
    p99_ms: float | None = None
    note: str = ""


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` of all values do not exceed (nearest rank). Raises ValueError without values."""
    if not values:
        raise ValueError("there are no values")
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def milliseconds(seconds: Sequence[float]) -> dict[str, float]:
    """``p50_ms`` and ``p99_ms`` of times in seconds, for a Row."""
    return {"p50_ms": percentile(seconds, 50) * 1000, "p99_ms": percentile(seconds, 99) * 1000}


# --- the head ---------------------------------------------------------------------------


def head(database: str) -> dict[str, Any]:
    """The machine, the Python, the commit and the database that the figures belong to."""
    return {
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_before": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "database": database,
    }


def _commit() -> str:
    """The commit, with a mark if files differ from it; "unknown" outside of a repository."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=PROJECT, capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


# --- the table ----------------------------------------------------------------------------


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(about: dict[str, Any], rows: Sequence[Row]) -> str:
    """The head and one line for each row, as plain text."""
    cells = [("measured", "value", "unit", "p50 ms", "p99 ms", "remarks")]
    cells += [(r.name, _number(r.value), r.unit, _number(r.p50_ms), _number(r.p99_ms), r.note) for r in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    right = {1, 3, 4}
    lines = [
        "  ".join(
            text.rjust(width) if column in right else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    lines.insert(1, "-" * max(map(len, lines)))
    facts = (
        f"{about['cpu']}, {about['cores']} cores, {about['memory_gb']} GB, {about['system']}, "
        f"load average {about['load_before']}",
        f"commit {about['commit']}, Python {about['python']}, {about['database']}, {about['taken_at']}",
    )
    return "\n".join([*facts, "", *lines])


def write(path: Path, about: dict[str, Any], sizes: dict[str, Any], rows: Sequence[Row]) -> None:
    """Write ``{"head", "sizes", "rows"}`` as JSON, making the folder if need be."""
    document = {"head": about, "sizes": sizes, "rows": [asdict(row) for row in rows]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
