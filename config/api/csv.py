"""Tables as CSV that no spreadsheet mistakes for formulas."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def defused(value: Any) -> Any:
    """The cell itself; a text that a spreadsheet would take for a formula gets an apostrophe in front."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """RFC 4180: a line of names, then the rows; None is an empty cell."""
    return lines([columns]) + lines(rows)


def lines(rows: Iterable[Sequence[Any]]) -> str:
    """The rows alone, for tables that are written piece by piece."""
    out = io.StringIO()
    csv.writer(out).writerows([defused(cell) for cell in row] for row in rows)
    return out.getvalue()
