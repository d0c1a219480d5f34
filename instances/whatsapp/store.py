"""The client library's own store of one instance's link: where it is, and what we read and change in it.

Beside the library's tables it has some of ours. They note, in the library's own transactions, when each message secret
was stored and when Signal state last changed. Both happen in that order before a message leaves, so after a crash they
tell whether the last message can have left (docs/decisions/0003-settling-doubt.md). Others keep names while a status
goes to a chosen audience (docs/decisions/0012-audience-of-a-status.md).

There are two kinds: a file of its own for each instance (``filestore``), and rows in a PostgreSQL database that many
instances share (``databasestore``). Which to choose: docs/key-store.md.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from enum import Enum
from typing import Any, NamedTuple

from instances.whatsapp.jids import NEWSLETTER


class Trace(Enum):
    """What the store knows of a message whose sending was cut short."""

    ABSENT = "the library never began: it did not leave"
    NOT_ENCRYPTED = "it was begun, but not encrypted: it did not leave"
    POSSIBLE = "it may have left, or nobody can know"


class Trail(NamedTuple):
    """What the store knows of a message: the id WhatsApp knows it by, and its place in the order of beginning."""

    trace: Trace
    wa_id: str | None = None
    place: int = 0


class StoreFailed(Exception):
    """The store could not be read or changed; nothing was."""


class Store(ABC):
    """The store of one instance. Its methods raise StoreFailed; each may be called again."""

    kind: str  # as an instance's ``key_store``

    @property
    @abstractmethod
    def name(self) -> str:
        """What the library takes as the name of its database. It may hold a password."""

    @abstractmethod
    def prepare(self) -> None:
        """Make it possible to link a device into it."""

    @abstractmethod
    def erase(self) -> None:
        """Delete all that belongs to the instance; the keys of a removed link are of no use."""

    @abstractmethod
    def device(self) -> tuple[str, str | None] | None:
        """The linked device's JID and LID, or None when the store holds no link."""

    def has_device(self, device_jid: str) -> bool:
        """False also for a missing store. To connect without the row would end the process."""
        device = self.device()
        return device is not None and device[0] == device_jid

    @abstractmethod
    def watch_order(self) -> None:
        """Have the order of writes noted; idempotent. The library must have made its tables."""

    def trace(self, secret: bytes) -> Trail:
        """What became of the message with this secret.

        Call it while the number is offline: an inbound message changes Signal state too, which makes a
        POSSIBLE out of a NOT_ENCRYPTED (never the other way round). Without a linked device the secrets are
        gone with it, so nothing is known: POSSIBLE, without an id.
        """
        if self.device() is None:
            return Trail(Trace.POSSIBLE)
        found = self._places(secret)
        if found is None:
            return Trail(Trace.ABSENT)
        encrypted = not found["chat"].endswith(f"@{NEWSLETTER}")  # what channels get leaves no other trace
        if found["is_last"] and encrypted and found["secret"] > found["signal"]:
            return Trail(Trace.NOT_ENCRYPTED, found["wa_id"], found["place"])
        return Trail(Trace.POSSIBLE, found["wa_id"], found["place"])

    @abstractmethod
    def _places(self, secret: bytes) -> dict[str, Any] | None:
        """Where the message with a secret stands in the order of beginning; None if it was never begun.

        ``{"wa_id", "chat", "place", "is_last", "secret": place, "signal": place}``.
        """

    @abstractmethod
    def forget_secret(self, secret: bytes) -> None:
        """Drop a settled message's secret, so that a second attempt is told apart from the first."""

    @abstractmethod
    def narrow_audience(self, jids: Iterable[str]) -> None:
        """Leave only these people in the address book, until `restore_contacts`.

        The library sends a status to everybody who has a name in its address book.
        """

    @abstractmethod
    def restore_contacts(self) -> None:
        """Put the address book back; names that came meanwhile stay. Idempotent, also after a crash in between."""
