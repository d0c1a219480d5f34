from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.db import connections

P = ParamSpec("P")
T = TypeVar("T")


def closing_connections(work: Callable[P, T], *args: P.args, **fields: P.kwargs) -> T:
    """Call the work and give its database connections back.

    For threads that neither Django nor Celery manage: what they keep is missing in the pool.
    """
    try:
        return work(*args, **fields)
    finally:
        connections.close_all()
