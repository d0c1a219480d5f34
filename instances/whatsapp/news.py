"""What a number can tell us, in our own words. Free of the client library, so everybody may import it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from instances.whatsapp.jids import PHONE


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody on WhatsApp; at least one of phone and LID is known."""

    phone: str | None
    lid: str | None
    name: str = ""

    @property
    def jid(self) -> str:
        return f"{self.phone}@{PHONE}" if self.phone else str(self.lid)


@dataclass(frozen=True, slots=True)
class Inbound:
    """A message that the number received, or that its phone sent (``from_me``)."""

    wa_id: str
    chat: str
    chat_lid: str | None
    sender: Person
    from_me: bool
    sent_at: datetime
    type: str
    content: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Receipt:
    """Somebody's news of messages this number sent: ``delivered``, ``read`` or ``played``."""

    wa_ids: tuple[str, ...]
    kind: str
    at: datetime


@dataclass(frozen=True, slots=True)
class StateChange:
    state: str
    reason: str
    detail: str = ""
    banned_until: datetime | None = None


News = Inbound | Receipt | StateChange


class Sent(NamedTuple):
    """The server's acknowledgement of a message."""

    id: str
    timestamp: int  # server time, Unix seconds
