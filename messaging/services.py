from __future__ import annotations

from collections.abc import Callable, Sequence

from accounts.actor import Actor
from config.api.idempotency import Answer, Claim
from config.api.problems import Problem
from messaging.accepting import files
from messaging.accepting.acceptance import acceptor
from messaging.accepting.orders import Order, Outgoing, Verdict


def accept(
    *,
    actor: Actor,
    outgoing: Sequence[Outgoing | Problem],
    answer_of: Callable[[list[Verdict]], Answer],
    claim: Claim | None = None,
    within: Callable[[list[Verdict]], None] | None = None,
) -> Order:
    """Commit messages to the ledger and wake their lanes; returns the order, done.

    What is accepted is not lost from then on. A message that cannot be accepted, or whose place holds the
    problem of its fields, does not keep the others back. With a claim the same request gets its first answer again.
    What ``within`` writes is committed together with the messages (`Order`).

    Raises what ``answer_of`` or ``within`` raised of the verdicts, Problem ``idempotency_key_reused``, or what the
    database raised; then nothing was accepted.
    """
    order = Order(actor, files.admitted(actor, outgoing, claim), answer_of, claim, within)
    acceptor.accept(order)
    if order.error is not None:
        raise order.error
    return order
