"""Work that the database lists: claimed by compare-and-swap for some time, and due again if its worker dies.

Of each kind of work a process does so much at a time; who comes beyond goes away again, since those who are at it
look for more when they are done.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Generic, TypeVar

import structlog
from django.db import InterfaceError, OperationalError, connection
from django.db.models import F, Model, QuerySet
from django.utils import timezone

from media.places import Places

RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
log = structlog.get_logger(__name__)
M = TypeVar("M", bound=Model)


class Worklist(Generic[M]):
    """``due`` are the rows to be done (``due_at``, ``attempts``); ``do`` is called with each in its claim's time.

    ``organization`` is the column with the organization's id, as in lookups.
    """

    def __init__(
        self,
        name: str,
        places: int,
        lease: timedelta,
        due: Callable[[], QuerySet[M]],
        organization: str,
        do: Callable[[M], None],
    ) -> None:
        self._name, self._lease, self._due, self._do = name, lease, due, do
        self._organization, self._organization_of = organization, attrgetter(organization.replace("__", "."))
        self._places = Places(places)

    def run(self) -> None:
        """Do what is due, one after the other, until nothing is or all places are taken."""
        with self._places.taken() as mine:
            while mine and (row := self._claim()) is not None:
                self._work(row)

    def is_due(self) -> bool:
        return self._due().filter(due_at__lte=timezone.now()).exists()

    def _work(self, row: M) -> None:
        organization_id = self._organization_of(row)
        try:
            self._do(row)
        except (OperationalError, InterfaceError) as error:
            log.warning("database_away", work=self._name, row=row.pk, error=str(error).partition("\n")[0])
            self._give_back(row)
        except Exception:
            # It is due again when the claim runs out.
            log.exception("work_failed", work=self._name, row=row.pk)
        finally:
            self._places.leave(organization_id)

    def _give_back(self, row: M) -> None:
        """Make a row due again at once, if the database comes back soon; else it is when the claim runs out."""
        for seconds in RETRY_SECONDS:
            time.sleep(seconds)
            try:
                if not connection.in_atomic_block:
                    connection.close()
                mine = self._due().filter(pk=row.pk, due_at=row.due_at)  # type: ignore[attr-defined]
                mine.update(due_at=timezone.now(), attempts=F("attempts") - 1)
                return
            except (OperationalError, InterfaceError):
                continue

    def _claim(self) -> M | None:
        now = timezone.now()
        waiting = self._due().filter(due_at__lte=now).exclude(**{f"{self._organization}__in": self._places.full()})
        for row in waiting.order_by("due_at")[:50]:
            organization_id = self._organization_of(row)
            if not self._places.enter(organization_id):
                continue
            if self._take(row, now):
                return row
            self._places.leave(organization_id)
        return None

    def _take(self, row: M, now: datetime) -> bool:
        until, seen = now + self._lease, row.due_at  # type: ignore[attr-defined]
        mine = self._due().filter(pk=row.pk, due_at=seen)
        taken = mine.update(due_at=until, attempts=F("attempts") + 1)
        if taken:
            row.due_at, row.attempts = until, row.attempts + 1  # type: ignore[attr-defined]
        return bool(taken)
