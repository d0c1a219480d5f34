"""What requests that send ask for, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from accounts.actor import Actor
from config.api.idempotency import Answer, Claim
from config.api.problems import Problem
from instances.whatsapp.jids import Jid
from media.references import MediaRef
from messaging.states import Origin


class Outgoing(NamedTuple):
    """A message to be sent, its fields checked.

    ``attributes`` are what goes with the content (models.Message.attributes); ``media`` names its file, by id.
    ``items`` are the pictures and videos of an album, which become messages of their own. ``unique_ref``: whether the
    ``client_ref`` must be new to the instance; None leaves it to the instance's settings.
    """

    instance_id: str
    to: Jid
    type: str
    content: dict[str, Any]
    client_ref: str | None
    attributes: Mapping[str, Any] = MappingProxyType({})
    media: MediaRef | None = None
    send_at: datetime | None = None
    origin: str = Origin.API.value
    items: tuple[Outgoing, ...] = ()
    unique_ref: bool | None = None


Verdict = dict[str, Any] | Problem  # the accepted message as clients see it, or why it is refused


@dataclass(slots=True)
class Order:
    """What one request asks for; when it is ``done`` it has its answer, or an error.

    ``answer_of`` makes the answer of the verdicts on the messages, in their order, or raises a Problem. With a
    claim the answer is kept in the same transaction, and is the first one's if the request came before.

    ``within`` is called in that transaction with the verdicts: what it writes is committed with the messages, what it
    raises undoes them and is the order's error. It may run again when the transaction has to be repeated, and must
    not append events.
    """

    actor: Actor
    outgoing: Sequence[Outgoing | Problem]
    answer_of: Callable[[list[Verdict]], Answer]
    claim: Claim | None = None
    within: Callable[[list[Verdict]], None] | None = None
    answer: Answer | None = None
    replayed: bool = False
    error: Exception | None = None
    done: bool = False
