"""Which numbers a worker gives away when others have fewer: the idle ones first, a few at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol, TypeVar

from instances.holding import attachments, lease
from instances.models import Worker

_AT_ONCE = 5  # each is offline for about a second


class Number(Protocol):
    """A held number as the balance sees it."""

    instance_id: str

    @property
    def idle_seconds(self) -> float: ...

    @property
    def movable(self) -> bool:
        """Not while it is being linked or connected."""


N = TypeVar("N", bound=Number)


class Balance:
    """That of one worker.

    Fair shares are whole numbers that add up to what is wanted, so nobody takes back what was given. A worker counts
    when it has lived for a lease: one that crashes again and again gets nothing. What is a tenth above the share, or
    one number, is not worth the interruption; once begun, all that is too much is given.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._giving = False

    def to_give(self, numbers: Sequence[N], closing: Collection[str]) -> list[N]:
        """Those to close and release now. None while some are being closed, or wait for somebody to take them."""
        share = lease.share(self._worker, settled=True)
        excess = len(numbers) - share
        self._giving = excess > (0 if self._giving else max(1, share // 10))
        if not self._giving or closing or lease.unclaimed(self._worker.network):
            return []
        movable = [number for number in numbers if number.movable]
        busy = _with_work([number.instance_id for number in movable])
        movable.sort(key=lambda number: (number.instance_id in busy, -number.idle_seconds))
        return movable[: min(excess, _AT_ONCE)]


def _with_work(ids: list[str]) -> set[str]:
    found: Iterable[str] = (one for find in attachments.find_work for one in find(ids)) if ids else ()
    return set(found)
