"""One thread per session worker that writes everything the worker learns, in groups.

A caller hands in an item and gets a Future that is done when the item is committed. All that waits is
written in one transaction: first the leases of the instances concerned are checked and locked, then the
items go to the handlers of their types in order. So a hundred numbers share few commits, and nothing is
written by a worker that has lost the number, or whose lease has run out, but for facts: what a number was told.

A group is made up of what came while the one before was written. If nobody waits for any of it, it waits a
little longer: one transaction more costs far more than one item more.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from itertools import groupby
from typing import Any, NamedTuple

import structlog
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.db.models import Case, When
from django.db.models.functions import Now

from instances.holding.transactions import bounded
from instances.models import Instance
from webhooks import events

log = structlog.get_logger(__name__)
GROUP_SIZE = 200
_LINGER_SECONDS = 0.2
_RETRY_SECONDS = (0.05, 0.2, 1.0, 2.0, 5.0)  # while the database is away; the last one again and again


class LeaseLost(Exception):
    """This worker does not hold the instance any more; nothing was written."""


class CommitUnknown(Exception):
    """The database went away at the commit: nobody knows whether it was written. Only values in ``once`` meet this."""


class Item(NamedTuple):
    """One thing to write for an instance held in an epoch; None for a fact, which is true whoever holds it."""

    instance_id: str
    epoch: int | None
    value: Any


class Written(NamedTuple):
    """What a handler made of its items: a result for each, in order, and the events that report it."""

    results: list[Any]
    drafts: list[events.Draft]


# Writes items of one type inside the writer's transaction. The instances come locked, by id. It may run
# again for the same items when the transaction fails, so it must have no effect outside the database.
Handler = Callable[[list[Item], dict[str, Instance]], Written]
handlers: dict[type, Handler] = {}
# Types that must not be written again when their commit may have come about: their results would be lost with it.
once: set[type] = set()
# Types written before all others of a group, so that what refers to them finds them.
first: set[type] = set()


class Writer:
    def __init__(self, worker_id: str) -> None:
        self._worker_id = worker_id
        self._waiting: queue.SimpleQueue[tuple[Item, Future[Any]] | None] = queue.SimpleQueue()
        self._urgent = threading.Event()
        self._stopping = threading.Event()
        self._committing = False
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def submit(self, instance_id: str, epoch: int | None, value: Any, *, urgent: bool = True) -> Future[Any]:
        """Have a value written; the Future raises LeaseLost, CommitUnknown, or what its handler raised.

        Without an epoch it is written without the lease, and LeaseLost says that there is no such instance.

        What is not urgent may wait some milliseconds for company. Values are written in the order they came.
        """
        future: Future[Any] = Future()
        self._waiting.put((Item(instance_id, epoch, value), future))
        if urgent:
            self._urgent.set()
        return future

    def close(self) -> None:
        """Write what waits, then end."""
        self._stopping.set()
        self._waiting.put(None)
        self._urgent.set()
        self._thread.join()

    def _run(self) -> None:
        ended = False
        while not ended:
            group = self._group()
            ended = None in group
            entries = [entry for entry in group if entry is not None]
            self._write(sorted(entries, key=lambda entry: type(entry[0].value) not in first))
        connection.close()

    def _group(self) -> list[tuple[Item, Future[Any]] | None]:
        """Wait for something to write, then take all there is."""
        group = [self._waiting.get()]
        if self._waiting.qsize() < GROUP_SIZE:
            self._urgent.wait(_LINGER_SECONDS)
        self._urgent.clear()  # before the rest is taken: what is urgent from now on ends the next wait
        while len(group) < GROUP_SIZE and not self._waiting.empty():
            group.append(self._waiting.get())
        return group

    def _write(self, group: Sequence[tuple[Item, Future[Any]]]) -> None:
        if not group:
            return
        unknown = set[int]()
        try:
            results = self._with_retries([item for item, _ in group], unknown)
        except Exception as error:
            for item, future in group:
                if id(item) in unknown:
                    future.set_exception(CommitUnknown())
            rest = [entry for entry in group if id(entry[0]) not in unknown]
            if len(group) == 1 and rest:
                log.exception("write_failed", value=type(group[0][0].value).__name__)
                group[0][1].set_exception(error)
            else:
                # One bad item must not take the others with it.
                log.warning("group_split", error=repr(error), items=len(group))
                for entry in rest:
                    self._write([entry])
            return
        for (_, future), result in zip(group, results, strict=True):
            if isinstance(result, (LeaseLost, CommitUnknown)):
                future.set_exception(result)
            else:
                future.set_result(result)

    def _with_retries(self, items: list[Item], unknown: set[int]) -> list[Any]:
        """The results; ``unknown`` gets the ids of the items that must not be written again, also when it raises."""
        attempt = 0
        while True:
            self._committing = False
            try:
                written = iter(self._transaction([item for item in items if id(item) not in unknown]))
                return [CommitUnknown() if id(item) in unknown else next(written) for item in items]
            except (OperationalError, InterfaceError) as error:
                log.warning("database_away", error=str(error).splitlines()[0], items=len(items))
                if self._committing:
                    unknown.update(id(item) for item in items if type(item.value) in once)
                self._reset_connection()
                if self._stopping.is_set() and attempt >= len(_RETRY_SECONDS):
                    raise
                time.sleep(_RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)])
                attempt += 1
            finally:
                if connection.vendor == "postgresql":
                    connection.close()  # gives it back to the pool

    @staticmethod
    def _reset_connection() -> None:
        try:
            connection.close()
        except DatabaseError:
            connection.connection = None

    @transaction.atomic
    def _transaction(self, items: list[Item]) -> list[Any]:
        held = self._lock({item.instance_id for item in items})
        results: list[Any] = []
        drafts: list[events.Draft] = []
        for kind, run in groupby(items, key=lambda item: type(item.value)):
            batch = list(run)
            current = [item for item in batch if self._may_write(item, held)]
            written = handlers[kind](current, held) if current else Written([], [])
            done = iter(written.results)
            keep = {id(item) for item in current}
            results += [next(done) if id(item) in keep else LeaseLost(item.instance_id) for item in batch]
            drafts += written.drafts
        events.append(drafts)
        self._committing = True
        return results

    def _may_write(self, item: Item, locked: dict[str, Instance]) -> bool:
        if (found := locked.get(item.instance_id)) is None:
            return False
        held = (found.holder_id, found.epoch) == (self._worker_id, item.epoch) and vars(found)["leased"]
        return item.epoch is None or held

    @staticmethod
    def _lock(ids: Iterable[str]) -> dict[str, Instance]:
        bounded()
        query = Instance.objects.select_for_update(no_key=True).filter(pk__in=sorted(ids))
        leased = Case(When(lease_until__gt=Now(), then=True), default=False)
        return {instance.id: instance for instance in query.annotate(leased=leased).order_by("pk")}
