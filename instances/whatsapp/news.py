"""What a number can tell us, in our own words. Free of the client library, so everybody may import it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from instances.whatsapp.files import RemoteFile
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
class Key:
    """Which message another one is about, in the words of its sender: nothing of it is proven."""

    wa_id: str
    author: Person | None = None  # who wrote it; None: not said
    from_me: bool = False  # the number itself wrote it


@dataclass(frozen=True, slots=True)
class Sealed:
    """What only the secret of the target opens: a vote, a response, and what announcement groups encrypt."""

    purpose: str
    iv: bytes
    payload: bytes


@dataclass(frozen=True, slots=True)
class Inbound:
    """A message that the number received, or that its phone sent (``from_me``).

    ``type``, ``content`` and ``attributes`` are in the words of the API. ``target`` is the message it changes,
    ``quoted`` the one it answers, ``album`` the album it belongs to.
    """

    wa_id: str
    chat: str
    chat_lid: str | None
    sender: Person
    from_me: bool
    sent_at: datetime
    type: str
    content: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    secret: bytes = b""
    target: Key | None = None
    quoted: Key | None = None
    album: Key | None = None
    sealed: Sealed | None = None
    file: RemoteFile | None = None
    raw: bytes = b""  # the serialized waE2E.Message, out of its envelopes
    status: str = ""  # of an outbound message in the history: how far it came
    history: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """Somebody's news of messages this number sent: ``delivered``, ``read`` or ``played``."""

    wa_ids: tuple[str, ...]
    kind: str
    at: datetime
    chat: str = ""
    member: Person | None = None  # who it is from, in a group or of a status post


@dataclass(frozen=True, slots=True)
class ReadOnPhone:
    """Messages of others that the number's owner read on another device."""

    wa_ids: tuple[str, ...]
    chat: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Typing:
    """Somebody writes (``composing``), records (``recording``), or ceased to (``paused``)."""

    chat: str
    chat_lid: str | None
    sender: Person
    state: str


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """Somebody calls the number, or a group that it is in."""

    wa_id: str
    caller: Person
    caller_jid: str  # as WhatsApp named the caller in the offer, which is how a rejection has to
    at: datetime
    video: bool = False
    group: bool = False
    group_jid: str | None = None  # None as well for a group call that belongs to no group


@dataclass(frozen=True, slots=True)
class CallOver:
    """A call rings no more. ``reason`` is ``hung_up``, ``missed``, ``answered_elsewhere`` or ``rejected_elsewhere``."""

    wa_id: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ContactPresence:
    """Somebody whose presence is watched came online or went; ``last_seen`` is None where they do not show it."""

    who: Person
    available: bool
    last_seen: datetime | None


@dataclass(frozen=True, slots=True)
class HistoryBlob:
    """A part of the phone's history, as the library gave it, compressed with zlib."""

    data: bytes


@dataclass(frozen=True, slots=True)
class StateChange:
    state: str
    reason: str
    detail: str = ""
    banned_until: datetime | None = None


News = Inbound | Receipt | ReadOnPhone | Typing | ContactPresence | IncomingCall | CallOver | HistoryBlob | StateChange


class Sent(NamedTuple):
    """The server's acknowledgement of a message."""

    id: str
    timestamp: int  # server time, Unix seconds


class GroupInfo(NamedTuple):
    """A group as WhatsApp knows it; each member with whether it is an admin."""

    name: str
    members: tuple[tuple[Person, bool], ...]
