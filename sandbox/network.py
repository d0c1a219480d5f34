"""The simulated network: directory, logins, offline queues, presence.

Protocol facts
--------------
* Whatever a device has not confirmed (<receipt> or <ack>) is delivered again when it returns,
  announced by <ib><offline_preview/></ib> and followed by <ib><offline count/></ib>.
* `<success lid=...>` must carry the LID with the device number.
* A client that reads the end of the stream right after <stream:error> or <failure> may overlook
  the stanza, so the network waits half a second before it closes.

Realms: every look-up names the realm of the one who asks, and finds only what is in it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import routing
from .errors import PhoneTaken
from .iq import answer
from .media import MediaStore, Misbehaviour
from .model import MAX_QUEUE, Account, Connection, Device, Faults, Group, QueueKey, Waiting, now, queue_key
from .newsletters import Newsletter, Newsletters
from .pairing import Pairings
from .phone import Phone
from .profiles import shows
from .state import State
from .wire import GROUP, LID, PN, SERVER, Jid, Node, Value, decode, encode, node

if TYPE_CHECKING:
    from .session import Session

log = logging.getLogger(__name__)

CLOSE_DELAY = 0.5  # seconds between the last stanza of a session and its end


class Network:
    """Everything behind the sockets.  It belongs to one event loop and never blocks but for `State.flush`.

    `clock` gives seconds and is only compared with itself (expiry of QR codes).
    """

    def __init__(self, state: State, media: MediaStore, clock: Callable[[], float] = time.monotonic) -> None:
        self.state, self.media = state, media
        self.accounts: dict[str, Account] = {}  # by phone number
        self.groups: dict[str, Group] = {}
        self.sessions: set[Session] = set()
        self.pairings = Pairings(self, clock)
        self.newsletters = Newsletters(self)
        self.faults = Faults()  # of the whole network: latency, http_error, login_failure
        media.misbehaviour = self._media_misbehaviour
        self.trace: Callable[[str, Session, Node], None] | None = None
        self.messages = 0  # messages accepted since the start
        self._lids: dict[str, Account] = {}
        self._for_phones: deque[tuple[Phone, Node]] = deque()
        self._phones_read = False  # they do it one after the other, not one inside the other
        # Ids that nobody has seen before, also after a restart, in ascending order.
        self._serial = time.time_ns() // 1000

    # --- directory ----------------------------------------------------------------------

    def create_account(self, number: str, name: str, realm: str) -> Account:
        """Register a number with a simulated phone; the name of a known one is updated.

        Raises PhoneTaken if the number belongs to another realm.
        """
        account = self.accounts.get(number)
        if account is None:
            account = Account(number, name, realm)
            self._enter(account)
            Phone.create(self, account)
        elif account.realm != realm:
            raise PhoneTaken(f"{number} is taken")
        account.name = name
        self.save_account(account)
        return account

    def _enter(self, account: Account) -> None:
        self.accounts[account.number] = self._lids[account.lid.user] = account

    def account(self, jid: Jid, realm: str) -> Account | None:
        """Who has this LID or phone number, as far as the realm knows."""
        account = {LID: self._lids, PN: self.accounts}.get(jid.server, {}).get(jid.user)
        return account if account and account.realm == realm else None

    def device(self, jid: Jid, realm: str) -> Device | None:
        account = self.account(jid, realm)
        return account.devices.get(jid.device) if account else None

    def group(self, jid: Jid, realm: str) -> Group | None:
        group = self.groups.get(jid.user) if jid.server == GROUP else None
        return group if group and group.realm == realm else None

    def newsletter(self, jid: Jid, realm: str) -> Newsletter | None:
        return self.newsletters.find(jid, realm)

    def wrote(self, author: Account, reader: Account) -> None:
        """From now on the reader is no stranger to the author."""
        if author.number not in reader.correspondents:
            reader.correspondents.add(author.number)
            self.state.put("correspondent", f"{reader.number}/{author.number}", True)

    def status_readers(self, account: Account) -> list[Account]:
        """Who gets status posts of an account's phone."""
        kind, numbers = account.status_privacy
        if kind != "whitelist":
            known = account.contacts.keys() | account.correspondents
            numbers = sorted(known - set(numbers) if kind == "blacklist" else known)
        found = (self.accounts.get(number) for number in numbers)
        return [reader for reader in found if reader and reader.realm == account.realm]

    def _media_misbehaviour(self, number: str, what: str) -> Misbehaviour:
        account = self.accounts.get(number)
        if account is None:
            return Misbehaviour()
        faults = account.faults
        status = faults.upload_error if what == "upload" else faults.download_error
        if status and faults.media_error_count:
            faults.media_error_count -= 1
            if not faults.media_error_count:
                faults.upload_error = faults.download_error = 0
            self.save_account(account)
        return Misbehaviour(status, faults.media_delay, faults.media_rate)

    def take_bundle(self, device: Device, jid: Jid) -> Node:
        """Prekeys for a new session; every one-time prekey is handed out once, and the device is asked for
        more before they run out."""
        prekey = None
        if device.prekeys:
            id_ = next(iter(device.prekeys))
            prekey = id_, device.prekeys.pop(id_)
            self.state.delete("prekey", f"{device}/{id_.hex()}")
            if len(device.prekeys) == 4 and not device.phone:  # whatsmeow reacts below 5
                self.notify_device(device, node("count", value=4), type="encrypt")
        return device.bundle(jid, prekey)

    # --- what survives ------------------------------------------------------------------

    def save_account(self, account: Account) -> None:
        self.state.put("account", account.number, account)

    def save_device(self, device: Device, kind: str = "device") -> None:
        self.state.put(kind, str(device), device)

    def save_group(self, group: Group) -> None:
        self.state.put("group", group.jid.user, group.record)

    def forget_device(self, device: Device) -> None:
        for prekey in device.prekeys:
            self.state.delete("prekey", f"{device}/{prekey.hex()}")
        for waiting in device.queue.values():
            self.state.delete("queue", waiting.row)
        self.state.delete("device", str(device))

    def load(self) -> None:
        """Read everything back."""
        for account in sorted((a for _, a in self.state.load("account", Account)), key=lambda a: a.created):
            self._enter(account)
        for kind in ("device", "unconfirmed"):
            for key, device in self.state.load(kind, Device):
                device.account = self.accounts[key.partition(":")[0]]
                (device.account.devices if kind == "device" else device.account.unconfirmed)[device.number] = device
        for key, value in self.state.load("prekey", bytes):
            owner, _, id_ = key.partition("/")
            self._owner(owner).prekeys[bytes.fromhex(id_)] = value
        for key, frame in self.state.load("queue", bytes):
            stanza = decode(frame)
            self._owner(key.partition("/")[0]).queue[self._queue_key(stanza)] = Waiting(key, stanza, frame)
        for _, group in self.state.load("group", Group):
            group.members = {self.accounts[number]: role for number, role in group.roles.items()}
            self.groups[group.jid.user] = group
        for key, _ in self.state.load("correspondent", bool):
            number, _, other = key.partition("/")
            self.accounts[number].correspondents.add(other)
        self.newsletters.load()
        Phone.load_all(self)

    def _owner(self, key: str) -> Device:
        number, _, device = key.partition(":")
        account = self.accounts[number]
        return account.devices.get(int(device)) or account.unconfirmed[int(device)]

    # --- small services -----------------------------------------------------------------

    def new_id(self) -> str:
        self._serial += 1
        return f"{self._serial:016x}"

    def later(self, delay: float, action: Callable[[], Any]) -> None:
        if delay > 0:
            asyncio.get_running_loop().call_later(delay, action)
        else:
            action()

    def close(self) -> None:
        for session in list(self.sessions):
            session.abort()

    # --- sessions -----------------------------------------------------------------------

    def connected(self, session: Session) -> None:
        """The handshake is complete: log in, or offer to be linked."""
        self.sessions.add(session)
        if self.faults.login_failure:
            self._refuse(session, **self.faults.login_failure)
            return
        if session.payload.HasField("devicePairingData"):
            self.pairings.offer(session)
            return
        account = self.accounts.get(str(session.payload.username))
        number = session.payload.device
        device = account and (account.devices.get(number) or account.unconfirmed.get(number))
        if account and account.faults.login_failure:
            self._refuse(session, **account.faults.login_failure)
        elif not device or device.noise_key != session.noise_key:
            self._refuse(session, reason=401, location="sim")
        else:
            self.pairings.confirm(device)
            self._login(session, device)

    def _refuse(self, session: Session, **attrs: Value) -> None:
        session.send(node("failure", **attrs))
        self.part(session)

    def part(self, session: Session) -> None:
        """Close, but not at once: a client may overlook what came right before the end."""
        session.ended = True
        self.later(CLOSE_DELAY, session.close)

    def _login(self, session: Session, device: Device) -> None:
        if device.session:
            device.connections[-1].replaced = True
            self.stream_error(device, conflict="replaced")
        session.connection = Connection(time.time())
        device.connections.append(session.connection)
        device.session, session.device, device.active = session, device, False
        session.send(node("success", t=now(), lid=device.lid, location="sim", props=27))

    def disconnected(self, session: Session) -> None:
        self.sessions.discard(session)
        self.pairings.abandon(session)
        if session.connection:
            session.connection.until = time.time()
        device = session.device
        if device and device.session is session:
            device.session, device.active = None, False
            self.set_presence(device, online=False)

    def activate(self, device: Device) -> None:
        """The client asks for live stanzas: deliver what piled up first."""
        session = device.session
        if session is None:
            return
        device.active = True
        waiting = [w.stanza for w in device.queue.values()]
        if waiting:
            count = {tag: sum(s.tag == tag for s in waiting) for tag in ("message", "receipt", "notification")}
            preview = node("offline_preview", count=len(waiting), appdata=0, **count)
            session.send(node("ib", preview, from_=SERVER))
        for number, stanza in enumerate(waiting):
            session.send(Node(stanza.tag, stanza.attrs | {"offline": number}, stanza.content))
        session.send(node("ib", node("offline", count=len(waiting)), from_=SERVER))
        if not device.welcomed:
            device.welcomed = True
            self.save_device(device)
            device.account.phone.companions.welcome(device)

    def stream_error(self, device: Device, code: int | None = None, conflict: str | None = None) -> None:
        """End the device's session with <stream:error>."""
        if session := device.session:
            content = node("conflict", type=conflict) if conflict else None
            session.send(node("stream:error", content, code=code))
            self.part(session)
            session.device, device.session, device.active = None, None, False
            self.set_presence(device, online=False)

    def remove_device(self, device: Device) -> None:
        """The user removes the linked device on the phone, or the client logs itself out."""
        if device.account.devices.pop(device.number, None):
            self.forget_device(device)
            self.stream_error(device, code=401, conflict="device_removed")

    # --- delivery -----------------------------------------------------------------------

    @staticmethod
    def _queue_key(stanza: Node) -> QueueKey:
        participant = stanza.attrs.get("participant")
        return queue_key(stanza.tag, stanza.text("id"), stanza.text("from"), str(participant or ""))

    def deliver(self, device: Device, stanza: Node) -> None:
        """Send a stanza that must be confirmed, now or when the device is back.

        A simulated phone reads it before the outermost `handle` returns, so what it did is saved together with
        what it answers to.
        """
        if device.phone:
            self._for_phones.append((device.phone, stanza))
            return
        key, row = self._queue_key(stanza), f"{device}/{self.new_id()}"
        if key in device.queue:
            self._unqueue(device, key)
        elif len(device.queue) >= MAX_QUEUE:
            log.warning("%s has been away for too long: its oldest stanza is dropped", device)
            self._unqueue(device, next(iter(device.queue)))
        frame = encode(stanza)
        device.queue[key] = Waiting(row, stanza, frame)
        self.state.put("queue", row, frame)
        if device.active and device.session:
            device.session.send(stanza, frame)

    def _unqueue(self, device: Device, key: QueueKey) -> None:
        self.state.delete("queue", device.queue.pop(key).row)

    def confirm(self, device: Device, tag: str, id_: str, from_: Jid | str, participant: Jid | str | None) -> None:
        """The device has got a stanza; one that it does not wait for is ignored."""
        key = queue_key(tag, id_, from_, participant)
        if key in device.queue:
            self._unqueue(device, key)

    def notify(self, account: Account, *content: Node, type: str, from_: Jid = SERVER, **attrs: Value) -> None:
        for device in account.devices.values():
            self.notify_device(device, *content, type=type, from_=from_, **attrs)

    def notify_device(self, device: Device, *content: Node, type: str, from_: Jid = SERVER, **attrs: Value) -> None:
        if device.phone:
            return  # simulated phones have no use for notifications
        about: dict[str, Value | None] = {"from_": from_, "id": self.new_id(), "type": type, "t": now(), **attrs}
        self.deliver(device, node("notification", *content, **about))

    # --- incoming stanzas ---------------------------------------------------------------

    def received(self, session: Session, stanza: Node) -> None:
        """A client's stanza; raises WireError if it is malformed."""
        device = session.device
        if session.ended or (device and device.account.faults.mute):
            return
        if stanza.tag == "iq":
            if stanza.text("type") in ("result", "error"):
                self.pairings.answered(session, stanza)
            else:
                answer(self, session, stanza)
        elif device:
            self.handle(device, stanza)

    def handle(self, device: Device, stanza: Node) -> None:
        """Do what a device's stanza (anything but an <iq>) asks for."""
        if handler := routing.HANDLERS.get(stanza.tag):
            handler(self, device, stanza)
        elif stanza.tag != "ib":
            log.warning("unhandled %s", stanza)
        if self._phones_read:
            return
        self._phones_read = True
        try:
            while self._for_phones:
                phone, delivered = self._for_phones.popleft()
                phone.receive(delivered)
        finally:
            self._phones_read = False

    # --- presence -----------------------------------------------------------------------

    def set_presence(self, device: Device, online: bool) -> None:
        account = device.account
        before, device.online = account.online, online
        if before == account.online:
            return
        account.last_seen = now()
        self.save_account(account)
        for watcher in account.watchers:
            if watcher.session and watcher.active:
                watcher.session.send(self.presence_of(account, account.lid, watcher.account))

    @staticmethod
    def presence_of(account: Account, jid: Jid, viewer: Account) -> Node:
        if account.online and shows(account, "online", viewer):
            return node("presence", from_=jid.bare)
        last = account.last_seen if shows(account, "last", viewer) else 0
        return node("presence", from_=jid.bare, type="unavailable", last=last or "deny")
