"""The line in which orders wait to be committed: who is next, and with whom."""

from __future__ import annotations

from collections import deque
from itertools import count

from messaging.accepting.orders import Order

GROUP_MESSAGES = 1000  # a group takes no further order when it has so many
LARGE = 20  # an order of so many need not wait for company


class Line:
    """Small orders go before large ones, in groups of their own, and by turns with them: so a single message waits for
    one large group at most. Organizations with large orders take turns.

    Any thread may `add`; all else is for the one that has the turn to commit.
    """

    def __init__(self) -> None:
        self._arrived: deque[Order] = deque()
        self._small: deque[Order] = deque()
        self._large: list[Order] = []
        self._small_were_last = False
        self._turns = count(1)
        self._served: dict[str, int] = {}  # since when nobody's large orders waited: the organization's last turn

    def add(self, order: Order) -> None:
        self._arrived.append(order)

    def first(self) -> Order:
        """The one that the next group begins with."""
        self._sort_in()
        if self._small and not (self._large and self._small_were_last):
            return self._small[0]
        return self._large[self._next_large()]

    def group(self, first: Order | None = None) -> list[Order]:
        """Take the next orders out of the line, beginning with ``first``; none has the idempotency key of another."""
        order: Order | None = first or self.first()
        self._small_were_last = order is not None and not _is_large(order)
        group: list[Order] = []
        claimed: set[tuple[str, str]] = set()
        size = 0
        while order is not None and size < GROUP_MESSAGES:
            if order.claim is not None:
                if order.claim[:2] in claimed:
                    break
                claimed.add(order.claim[:2])
            group.append(self._taken(order))
            size += len(order.outgoing)
            order = self._next_like(order)
        return group

    def _sort_in(self) -> None:
        while self._arrived:
            order = self._arrived.popleft()
            (self._large if _is_large(order) else self._small).append(order)

    def _next_large(self) -> int:
        """Whose organization has waited for longest; of one organization the first that came."""
        served = [self._served.get(order.actor.organization_id, 0) for order in self._large]
        return served.index(min(served))

    def _next_like(self, order: Order) -> Order | None:
        self._sort_in()
        if _is_large(order):
            return self._large[self._next_large()] if self._large else None
        return self._small[0] if self._small else None

    def _taken(self, order: Order) -> Order:
        if not _is_large(order):
            return self._small.popleft()
        del self._large[next(place for place, one in enumerate(self._large) if one is order)]
        self._served[order.actor.organization_id] = next(self._turns)
        if not self._large:
            self._served.clear()
        return order


def _is_large(order: Order) -> bool:
    return len(order.outgoing) >= LARGE
