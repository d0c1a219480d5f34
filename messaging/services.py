from __future__ import annotations

from collections.abc import Sequence

from accounts.actor import Actor
from config.api.problems import Problem
from messaging.acceptance import Order, Outgoing, Verdict, acceptor


def accept(*, actor: Actor, outgoing: Sequence[Outgoing | Problem]) -> list[Verdict]:
    """Commit messages to the ledger and wake their lanes; a verdict on each, in order.

    What is accepted is not lost from then on. A message that cannot be accepted, or whose place holds the
    problem of its fields, does not keep the others back. Raises what the database raises; then nothing was accepted.
    """
    return acceptor.accept(Order(actor, outgoing))
