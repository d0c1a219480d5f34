"""What the simulated network knows: accounts, their devices, groups and injected faults.

The fields of the dataclasses are also their stored form (see state.py): a new field needs a
default.  What is not a field (set in `__post_init__`) lives as long as the process.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from .appstate import Collection
from .crypto import KeyPair
from .wire import GROUP, LID, PN, Jid, Node, node

if TYPE_CHECKING:
    from .phone import Phone
    from .session import Session

MAX_CONNECTIONS = 1000
MAX_QUEUE = 10_000  # stanzas that wait for one device; the oldest goes first
MAX_REMEMBERED = 1_000  # message ids per device, to recognise what is sent again
MAX_INBOX = 10_000  # messages, and as many receipts, of one phone

QueueKey = tuple[str, str, str, str]  # stanza class, id, from, participant


def now() -> int:
    """Unix time in seconds."""
    return int(time.time())


def queue_key(tag: str, id_: str, from_: Jid | str, participant: Jid | str | None) -> QueueKey:
    return tag, id_, str(from_), str(participant or "")


@dataclass
class Faults:
    """Misbehaviour towards the devices of one account (or, where it says so, of the whole network)."""

    latency: float = 0  # seconds that every stanza to the client takes; the whole network too
    mute: bool = False  # swallow every stanza, answer nothing (the connection stays open)
    ack_delay: float = 0  # seconds before a message is acknowledged
    drop_acks: int = 0  # leave the next N messages without acknowledgement (they are delivered)
    lose_messages: int = 0  # acknowledge the next N messages but do not deliver them
    cut_before_ack: int = 0  # deliver the next N messages, then cut the connection
    cut_before_delivery: int = 0  # cut the connection at the next N messages
    corrupt: int = 0  # garble the ciphertext of the next N messages (a client asks for a retry)
    ack_error: int = 0  # refuse messages with this error code (e.g. 463, 479)
    ack_error_count: int = 0  # ... the next N; 0: all
    cold_error: int = 0  # refuse messages to strangers with this error code
    cold_until: float = 0  # ... until this Unix time; 0: for ever
    iq_errors: dict[str, int] = field(default_factory=dict)  # xmlns -> error code
    iq_silence: dict[str, int] = field(default_factory=dict)  # xmlns -> how many more queries get no answer
    upload_error: int = 0  # HTTP status for what the account's clients upload
    download_error: int = 0  # HTTP status for what the account has uploaded
    media_error_count: int = 0  # ... for the next N of both; 0: for all
    media_delay: float = 0  # seconds before the media store answers
    media_rate: int = 0  # bytes per second of the media store; 0: as fast as it goes
    # <failure> attributes, e.g. {"reason": 402, "code": 101, "expire": 3600}; the whole network too
    login_failure: dict[str, int | str] | None = None
    http_error: int = 0  # whole network only: answer WebSocket upgrades with this status


@dataclass
class SignedPrekey:
    id: bytes
    value: bytes
    signature: bytes

    @classmethod
    def of(cls, stanza: Node | None) -> SignedPrekey:
        """From an uploaded <skey>."""
        stanza = stanza or Node("skey")
        return cls(stanza.data("id"), stanza.data("value"), stanza.data("signature"))


def _key(tag: str, id_: bytes, value: bytes, signature: bytes | None = None) -> Node:
    return node(tag, node("id", id_), node("value", value), node("signature", signature) if signature else None)


class Waiting(NamedTuple):
    """A stanza that a device has to confirm."""

    row: str  # its key in the state
    stanza: Node
    frame: bytes  # the stanza, encoded


@dataclass
class Connection:
    """One login of a linked client, in Unix seconds; ``replaced``: a newer login of the same client ended it."""

    since: float
    until: float | None = None
    replaced: bool = False


@dataclass(eq=False)
class Device:
    """A linked client; its keys are what it uploaded.  Number 0 is the phone itself."""

    number: int
    noise_key: bytes
    identity: bytes
    registration: bytes  # 4 bytes
    signed_prekey: SignedPrekey
    welcomed: bool = False  # has got the phone's first messages

    def __post_init__(self) -> None:
        self.account: Account
        self.prekeys: dict[bytes, bytes] = {}  # id -> public key
        self.queue: dict[QueueKey, Waiting] = {}  # sent or to be sent, and not confirmed
        self.sent: dict[str, int] = {}  # what it sent lately -> time; to recognise what comes twice
        self.session: Session | None = None
        self.connections: deque[Connection] = deque(maxlen=MAX_CONNECTIONS)  # the latest logins, oldest first
        self.name = ""  # under Linked devices; forgotten with a restart
        self.active = False  # has asked for live stanzas since it connected
        self.online = False  # presence "available"
        self.phone: Phone | None = None  # simulated here instead of connected (device 0)

    @property
    def pn(self) -> Jid:
        return self.account.pn._replace(device=self.number)

    @property
    def lid(self) -> Jid:
        return self.account.lid._replace(device=self.number)

    def __str__(self) -> str:
        return f"{self.account.number}:{self.number}"

    def bundle(self, jid: Jid, prekey: tuple[bytes, bytes] | None) -> Node:
        """<user> of a prekey answer."""
        signed = self.signed_prekey
        return node(
            "user",
            node("registration", self.registration),
            node("type", b"\x05"),
            node("identity", self.identity),
            _key("key", *prekey) if prekey else None,
            _key("skey", signed.id, signed.value, signed.signature),
            jid=jid,
        )


@lru_cache(8192)
def lid_of(number: str) -> Jid:
    """The hidden id; derived from the number (a bijection), so that tests can predict it."""
    return Jid(str(10**15 + int(number) * 7919 % 10**15), LID)


@dataclass(eq=False)
class Account:
    """A registered phone number.  `identity` is the key pair of its primary device.

    Accounts of different realms do not exist for each other.
    """

    number: str
    name: str
    realm: str = ""
    identity: KeyPair = field(default_factory=KeyPair.generate)
    next_device: int = 1
    about: str = "Hey there! I am using WhatsApp."
    picture: tuple[str, str] | None = None  # id, token of the blob
    privacy: dict[str, str] = field(
        default_factory=lambda: dict.fromkeys(
            ("readreceipts", "last", "profile", "status", "online", "groupadd", "calladd"), "all"
        )
    )
    blocked: set[Jid] = field(default_factory=set)  # LIDs
    disappearing: int = 0  # seconds that messages of new chats stay
    business_name: str = ""  # of a verified business
    contact_code: str = ""  # the end of its contact link
    settings: dict[str, Collection] = field(default_factory=dict)
    last_seen: int = 0
    created: float = field(default_factory=time.time)
    faults: Faults = field(default_factory=Faults)
    contacts: dict[str, str] = field(default_factory=dict)  # the address book: phone number -> name
    status_privacy: tuple[str, list[str]] = ("contacts", [])  # or "whitelist", "blacklist"; phone numbers

    def __post_init__(self) -> None:
        self.devices: dict[int, Device] = {}
        self.unconfirmed: dict[int, Device] = {}  # offered a link, not yet seen with it
        self.watchers: set[Device] = set()  # presence subscriptions
        self.correspondents: set[str] = set()  # phone numbers of those who wrote to it

    @property
    def pn(self) -> Jid:
        return Jid(self.number, PN)

    @property
    def lid(self) -> Jid:
        """The hidden id."""
        return lid_of(self.number)

    @property
    def online(self) -> bool:
        return any(d.online for d in self.devices.values())

    @property
    def phone(self) -> Phone:
        phone = self.devices[0].phone
        assert phone is not None, "every account has a phone from its start"
        return phone

    def knows(self, other: Account) -> bool:
        """Whether it may write to them without being a stranger."""
        return other is self or other.number in self.contacts or other.number in self.correspondents

    def collection(self, name: str) -> Collection:
        return self.settings.setdefault(name, Collection())


def new_invite() -> str:
    return "".join(secrets.choice("ABCDEFGHJKLMNP23456789") for _ in range(22))


@dataclass
class Topic:
    id: str
    text: str
    author: Jid  # LID
    author_pn: Jid
    t: int


@dataclass(eq=False)
class Group:
    jid: Jid
    subject: str
    creator: Jid  # LID
    creator_pn: Jid
    realm: str
    roles: dict[str, str | None]  # phone number -> None, "admin" or "superadmin"
    created: int = field(default_factory=now)
    topic: Topic | None = None
    invite: str = field(default_factory=new_invite)
    flags: set[str] = field(default_factory=set)  # "locked", "announcement"
    ephemeral: int = 0

    def __post_init__(self) -> None:
        self.members: dict[Account, str | None] = {}  # the same as `roles`

    @staticmethod
    def new_jid() -> Jid:
        return Jid(f"120363{secrets.randbelow(10**12):012d}", GROUP)

    @staticmethod
    def participant(account: Account, role: str | None = None) -> Node:
        return node("participant", jid=account.lid, phone_number=account.pn, type=role)

    def record(self) -> dict[str, Any]:
        """The stored form, with the roles as they are now."""
        stored = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return stored | {"roles": {a.number: role for a, role in self.members.items()}}

    def describe(self) -> Node:
        return node(
            "group",
            *(self.participant(a, role) for a, role in self.members.items()),
            self.describe_topic(),
            *(node(flag) for flag in sorted(self.flags)),
            node("ephemeral", expiration=self.ephemeral) if self.ephemeral else None,
            node("member_add_mode", "all_member_add"),
            id=self.jid.user,
            addressing_mode="lid",
            creator=self.creator,
            creator_pn=self.creator_pn,
            creation=self.created,
            subject=self.subject,
            s_t=self.created,
            s_o=self.creator,
            s_o_pn=self.creator_pn,
            size=len(self.members),
            p_v_id=self.created,
            a_v_id=self.created,
        )

    def describe_topic(self) -> Node | None:
        if self.topic is None:
            return None
        t = self.topic
        return node(
            "description", node("body", t.text), id=t.id, participant=t.author, participant_pn=t.author_pn, t=t.t
        )
