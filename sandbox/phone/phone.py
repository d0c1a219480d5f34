"""A simulated phone: the primary device of an account.

It is what a person with WhatsApp holds in the hand.  It writes and receives messages with
end-to-end encryption of its own (so that a client has somebody to talk to), gets the copies of
what the account's linked clients send, and greets a newly linked client with the keys of the
synchronised settings.  Everything it sends passes the network like a client's stanzas.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from sandbox.errors import MessageNotFound
from sandbox.model import MAX_REMEMBERED, Account, Device, SignedPrekey, now
from sandbox.protos import Message
from sandbox.signal_protocol import OldCounter, SignalError, SignalStore
from sandbox.wire import GROUP, NEWSLETTER, STATUS, Jid, Node, WireError, node

from .calls import Calls
from .cipher import Cipher
from .companions import Companions
from .inbox import Inbox
from .outbox import MAX_RETRIES, Outbox
from .records import Keys, Received
from .showing import Showing

if TYPE_CHECKING:
    from sandbox.network import Network

log = logging.getLogger(__name__)


class Phone:
    """Made by `create` and `load_all`."""

    def __init__(self, network: Network, account: Account, keys: Keys) -> None:
        self.network, self.account, self.keys = network, account, keys
        self.device: Device
        self.failures = 0  # messages since the start that could not be decrypted
        self._asked_again: dict[str, int] = {}  # message id -> retry receipts sent
        self.cipher = Cipher(network, account, keys)
        self.inbox = Inbox(self)
        self.outbox = Outbox(self, self.cipher)
        self.companions = Companions(self)
        self.showing = Showing(self)
        self.calls = Calls(self)

    @classmethod
    def create(cls, network: Network, account: Account) -> Phone:
        """The first phone of a new account."""
        store = SignalStore.generate(account.identity)
        phone = cls(network, account, Keys(store.signed_prekey, store.signature, store.registration))
        signed = SignedPrekey(b"\0\0\1", store.signed_prekey.public, store.signature)
        registration = store.registration.to_bytes(4, "big")
        device = Device(0, b"", account.identity.public, registration, signed)
        device.account = account
        phone._take(device)
        network.save_device(device)
        network.state.put("phone", account.number, phone.keys)
        return phone

    def _take(self, device: Device) -> None:
        self.device, device.phone, device.active = device, self, True
        self.account.devices[0] = device

    @classmethod
    def load_all(cls, network: Network) -> None:
        """Read the phones of all accounts back; their devices are there already."""
        phones = {}
        for number, keys in network.state.load("phone", Keys):
            account = network.accounts[number]
            phones[number] = phone = cls(network, account, keys)
            phone._take(account.devices[0])
        Cipher.load_all(network, {number: phone.cipher for number, phone in phones.items()})
        Inbox.load_all(network, {number: phone.inbox for number, phone in phones.items()})

    # --- receiving ----------------------------------------------------------------------

    def receive(self, stanza: Node) -> None:
        """Take in a stanza; of what cannot be read a new copy is asked for."""
        if stanza.tag == "receipt":
            self._receive_receipt(stanza)
        elif stanza.tag == "call":
            self.calls.receive(stanza)
        elif stanza.tag == "message":
            try:
                self._receive_message(stanza)
            except OldCounter as e:
                log.info("%s has read %s before: %s", self.account.number, stanza.attrs.get("id"), e)
                self.failures += 1
            except (SignalError, WireError, DecodeError) as e:
                log.info("%s cannot read %s: %s", self.account.number, stanza.attrs.get("id"), e)
                self.failures += 1
                self._ask_again(stanza)

    def _receive_receipt(self, stanza: Node) -> None:
        sender, kind = stanza.optional_jid("participant") or stanza.jid("from"), stanza.text("type", "delivery")
        listed = stanza.find("list") or ()
        for id_ in (stanza.text("id"), *(item.text("id") for item in listed)):
            self.inbox.keep_receipt(id_, kind, sender)
        if kind == "retry":
            self.outbox.answer_retry(stanza)

    def _receive_message(self, stanza: Node) -> None:
        origin, participant, id_ = stanza.jid("from"), stanza.optional_jid("participant"), stanza.text("id")
        if origin.server == NEWSLETTER:
            self._receive_post(stanza)
            return
        author = self.network.account(participant or origin, self.account.realm)
        # Sessions are kept by LID, whichever name the sender used.
        sender = (author.lid if author else (participant or origin))._replace(device=(participant or origin).device)
        from_me, shared = author is self.account, origin.server == GROUP or origin == STATUS
        for enc in stanza.all("enc"):
            message = self.cipher.decrypt(origin, sender, enc)
            if not message.ListFields():
                continue  # it only brought a sender key
            if "count" in enc.attrs and self.inbox.by_id(id_):
                continue  # a retry that was not needed any more
            chat = origin if shared else (stanza.optional_jid("recipient") or sender).bare
            if message.HasField("deviceSentMessage"):
                message = message.deviceSentMessage.message
            t = stanza.number("t", now())
            entry = Received(self.inbox.next_seq(), id_, chat, sender.bare, from_me, t, message.SerializeToString())
            self.inbox.keep(entry, message, author)
        self._receipt(id_, origin, participant, "sender" if from_me else None)

    def _receive_post(self, stanza: Node) -> None:
        """A newsletter's post, or a change of one: both have the post's id."""
        newsletter, id_, plaintext = stanza.jid("from"), stanza.text("id"), stanza.data("plaintext")
        self.network.handle(self.device, Node("ack", {"class": "message", "id": id_, "to": newsletter}))
        if "edit" in stanza.attrs:
            if post := self.inbox.by_id(id_):
                post.edited, post.revoked = plaintext or post.edited, not plaintext
                self.inbox.save(post)
            return
        Message.FromString(plaintext)  # a post that is none is not kept
        t, server_id = stanza.number("t", now()), stanza.number("server_id", 0)
        entry = Received(self.inbox.next_seq(), id_, newsletter, newsletter, False, t, plaintext, server_id=server_id)
        self.inbox.append("inbox", entry)

    def _ask_again(self, stanza: Node) -> None:
        """A retry receipt, as the apps send it; from the second on with keys for a new session."""
        id_ = stanza.text("id", "")
        count = self._asked_again.pop(id_, 0) + 1
        if not id_ or count >= MAX_RETRIES:
            return
        self._asked_again[id_] = count
        if len(self._asked_again) > MAX_REMEMBERED:
            del self._asked_again[next(iter(self._asked_again))]
        retry = node("retry", count=count, id=id_, t=stanza.attrs.get("t"), v=1)
        content = [retry, node("registration", self.device.registration)]
        if count > 1:
            bundle = self.device.bundle(self.account.lid, None)
            content.append(node("keys", *(child for child in bundle if child.tag != "registration")))
        attrs = {"id": id_, "to": stanza.attrs["from"], "type": "retry", "t": now()}
        attrs |= {name: stanza.attrs[name] for name in ("participant", "recipient", "edit") if name in stanza.attrs}
        self.network.handle(self.device, Node("receipt", attrs, content))

    # --- receipts -----------------------------------------------------------------------

    def _receipt(self, id_: str, to: Jid, participant: Jid | None, kind: str | None) -> None:
        receipt = node("receipt", id=id_, to=to, participant=participant, type=kind, t=now())
        self.network.handle(self.device, receipt)

    def _got(self, id_: str) -> Received:
        entry = self.inbox.by_id(id_)
        if entry is None:
            raise MessageNotFound(f"{self.account.number} has no message {id_}")
        return entry

    def receipt(self, id_: str, kind: str) -> None:
        """Any receipt for a message of somebody else.  Raises MessageNotFound."""
        entry = self._got(id_)
        shared = entry.chat.server == GROUP or entry.chat == STATUS
        self._receipt(id_, entry.chat, entry.sender if shared else None, kind)

    def mark_read(self, id_: str) -> None:
        """Tell the sender that a message was read; a second time nothing happens.  Raises MessageNotFound."""
        entry = self._got(id_)
        if not entry.read and not entry.from_me:
            entry.read = True
            self.inbox.save(entry)
            if entry.chat.server != NEWSLETTER:
                self.receipt(id_, "read")

    def mark_played(self, id_: str) -> None:
        """Tell the sender that a voice or video note was played; once.  Raises MessageNotFound."""
        entry = self._got(id_)
        if not entry.played and not entry.from_me:
            entry.played = True
            self.inbox.save(entry)
            self.receipt(id_, "played")

    # --- sending ------------------------------------------------------------------------

    def send(self, to: str, message: Any, *, undecryptable: bool = False) -> str:
        """Send a Message to a phone number, a JID, a group …; returns the message id.  Raises NotOnWhatsApp."""
        return self.outbox.deliver(self.outbox.resolve(to), message, undecryptable=undecryptable).id

    # --- signs of life ------------------------------------------------------------------

    def typing(self, to: str, state: str, media: str) -> None:
        """Raises NotOnWhatsApp."""
        what = node(state, media=media or None)
        self.network.handle(self.device, node("chatstate", what, to=self.outbox.resolve(to)))

    def call(self, to: str, video: bool = False) -> str:
        """Ring a person or a group.  Returns the call's id; raises NotOnWhatsApp."""
        return self.calls.ring(self.outbox.resolve(to), video)
