"""What a phone remembers.  The fields are also the stored form (see state.py): a new one needs a default."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import msgspec

from sandbox.crypto import KeyPair
from sandbox.signal_protocol import SenderKey
from sandbox.wire import Jid


class Received(msgspec.Struct, omit_defaults=True):
    """A message as the phone got it or (in `Outbox.sent`) wrote it, and what became of it."""

    seq: int
    id: str
    chat: Jid
    sender: Jid
    from_me: bool  # a copy of what another device of this account sent, or written by the phone
    t: int  # Unix time in seconds
    message: bytes  # a serialized Message
    read: bool = False
    played: bool = False
    edited: bytes = b""  # the newest content, a serialized Message
    revoked: bool = False
    pinned: int = 0  # seconds
    reactions: dict[str, str] = {}  # phone number -> emoji
    votes: dict[str, list[str]] = {}  # phone number -> texts of the options
    responses: dict[str, str] = {}  # phone number -> "going", ...
    decrypted: list[str] = []  # what a vote or response says
    server_id: int = 0  # of a newsletter's post
    unanswered: bool = False  # retry receipts for it get no answer


class Confirmation(msgspec.Struct):
    """A receipt for a message that the phone sent."""

    seq: int
    id: str
    type: str  # "delivery", "read", "retry", ...
    sender: Jid


@dataclass
class Keys:
    """The stored form of a phone: what it cannot make again."""

    signed_prekey: KeyPair
    signature: bytes
    registration: int
    settings_key: tuple[bytes, bytes] = field(default_factory=lambda: (b"\0\0\0\0\0\1", os.urandom(32)))


@dataclass
class OwnSenderKey:
    """How the phone writes to a group, and who has been told the key."""

    key: SenderKey
    told: set[Jid] = field(default_factory=set)
