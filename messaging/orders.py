"""What requests that send ask for, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from accounts.actor import Actor
from config.api.idempotency import Answer, Claim
from config.api.problems import Problem
from instances.whatsapp.jids import Jid


class Outgoing(NamedTuple):
    """A message to be sent, its fields checked."""

    instance_id: str
    to: Jid
    type: str
    content: dict[str, Any]
    client_ref: str | None


Verdict = dict[str, Any] | Problem  # the accepted message as clients see it, or why it is refused


@dataclass(slots=True)
class Order:
    """What one request asks for; when it is ``done`` it has its answer, or an error.

    ``answer_of`` makes the answer of the verdicts on the messages, in their order, or raises a Problem. With a
    claim the answer is kept in the same transaction, and is the first one's if the request came before.
    """

    actor: Actor
    outgoing: Sequence[Outgoing | Problem]
    answer_of: Callable[[list[Verdict]], Answer]
    claim: Claim | None = None
    answer: Answer | None = None
    replayed: bool = False
    error: Exception | None = None
    done: bool = False
