"""A simulated phone: the primary device of an account.

It is what a person with WhatsApp holds in the hand.  It writes and receives messages with
end-to-end encryption of its own (so that a client has somebody to talk to), gets the copies of
what the account's linked clients send, and greets a newly linked client with the keys of the
synchronised settings.  Everything it sends passes the network like a client's stanzas.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from .appstate import first_patch
from .contents import describe, media_type
from .crypto import KeyPair, hkdf
from .errors import MessageNotFound, NotOnWhatsApp
from .model import MAX_INBOX, Account, Device, SignedPrekey, now
from .protos import HistorySync, Message, SyncActionValue
from .signal_protocol import (
    Bundle,
    SenderKey,
    SignalError,
    SignalSession,
    SignalStore,
    aes_cbc,
    pad,
    unpad,
)
from .wire import GROUP, PN, Jid, Node, WireError, node

if TYPE_CHECKING:
    from .network import Network

log = logging.getLogger(__name__)


@dataclass
class Received:
    """A message as the phone got it."""

    seq: int
    id: str
    chat: Jid
    sender: Jid
    from_me: bool  # a copy of what another device of this account sent
    t: int  # Unix time in seconds
    message: bytes  # a serialized Message
    read: bool = False


@dataclass
class Confirmation:
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


def _row(seq: int) -> str:
    return f"{seq:012d}"  # sorts as the number


class Phone:
    """Made by `create` and `load_all`.  Every change of keys is noted in the state before the stanza
    that depends on it goes out."""

    def __init__(self, network: Network, account: Account, keys: Keys) -> None:
        self.network, self.account, self.keys = network, account, keys
        self.device: Device
        self.store = SignalStore(account.identity, keys.signed_prekey, keys.registration, keys.signature)
        self.inbox: dict[int, Received] = {}  # by seq, oldest first
        self.receipts: dict[int, Confirmation] = {}
        self.failures = 0  # messages since the start that could not be decrypted
        self._seq = 0  # the last one given to a message or receipt
        self._by_id: dict[str, int] = {}
        self._told: dict[Jid, set[Jid]] = {}  # group -> devices that have our sender key

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
        state, phones = network.state, {}
        for number, keys in state.load("phone", Keys):
            account = network.accounts[number]
            phones[number] = phone = cls(network, account, keys)
            phone._take(account.devices[0])
        for key, sessions in state.load("session", list[SignalSession]):
            number, peer = key.split("/")
            phones[number].store.sessions[Jid.parse(peer)] = sessions
        for key, own in state.load("own_sender_key", OwnSenderKey):
            number, group = key.split("/")
            phones[number].store.own_sender_keys[Jid.parse(group)] = own.key
            phones[number]._told[Jid.parse(group)] = own.told
        for key, sender_key in state.load("sender_key", SenderKey):
            number, group, sender, id_ = key.split("/")
            phones[number].store.sender_keys[Jid.parse(group), Jid.parse(sender), int(id_)] = sender_key
        for key, message in state.load("inbox", Received):
            phone = phones[key.partition("/")[0]]
            phone.inbox[message.seq] = message
            phone._by_id[message.id] = message.seq
            phone._seq = max(phone._seq, message.seq)
        for key, receipt in state.load("receipt", Confirmation):
            phone = phones[key.partition("/")[0]]
            phone.receipts[receipt.seq] = receipt
            phone._seq = max(phone._seq, receipt.seq)

    def _save(self, kind: str, *key: object, value: Any) -> None:
        self.network.state.put(kind, "/".join(map(str, (self.account.number, *key))), value)

    def _save_session(self, peer: Jid) -> None:
        self._save("session", peer, value=lambda: self.store.sessions[peer])

    # --- receiving ----------------------------------------------------------------------

    def receive(self, stanza: Node) -> None:
        """Take in a stanza; what cannot be read is logged and counted."""
        if stanza.tag == "receipt":
            sender = stanza.optional_jid("participant") or stanza.jid("from")
            self._seq += 1
            receipt = Confirmation(self._seq, stanza.text("id"), stanza.text("type", "delivery"), sender)
            self._append("receipt", self.receipts, receipt)
        elif stanza.tag == "message":
            try:
                self._receive_message(stanza)
            except (SignalError, WireError, DecodeError) as e:
                log.info("%s cannot read %s: %s", self.account.number, stanza.attrs.get("id"), e)
                self.failures += 1

    def _append(self, kind: str, box: dict[int, Any], entry: Any) -> None:
        box[entry.seq] = entry
        self._save(kind, _row(entry.seq), value=entry)
        while len(box) > MAX_INBOX:
            oldest = next(iter(box))
            gone = box.pop(oldest)
            self.network.state.delete(kind, f"{self.account.number}/{_row(oldest)}")
            if kind == "inbox" and self._by_id.get(gone.id) == oldest:
                del self._by_id[gone.id]

    def _receive_message(self, stanza: Node) -> None:
        origin, participant, id_ = stanza.jid("from"), stanza.optional_jid("participant"), stanza.text("id")
        sender = participant or origin
        author = self.network.account(sender, self.account.realm)
        from_me = author is self.account
        for enc in stanza.all("enc"):
            message = self._decrypt(origin, sender, enc)
            if message.HasField("senderKeyDistributionMessage"):
                self._learn_sender_key(sender, message.senderKeyDistributionMessage)
                message.ClearField("senderKeyDistributionMessage")
                if not message.ListFields():
                    continue
            chat = origin if origin.server == GROUP else (stanza.optional_jid("recipient") or sender).bare
            if message.HasField("deviceSentMessage"):
                message = message.deviceSentMessage.message
            self._seq += 1
            t = int(stanza.text("t", str(now())))
            received = Received(self._seq, id_, chat, sender.bare, from_me, t, message.SerializeToString())
            self._by_id[id_] = self._seq
            self._append("inbox", self.inbox, received)
        self._receipt(id_, origin, participant, "sender" if from_me else None)

    def _decrypt(self, origin: Jid, sender: Jid, enc: Node) -> Any:
        kind, ciphertext = enc.text("type"), enc.content
        if not isinstance(ciphertext, bytes):
            raise WireError("<enc> without content")
        if kind == "skmsg":
            id_, plaintext = self.store.group_decrypt(origin, sender, ciphertext)
            key = self.store.sender_keys[origin, sender, id_]
            self._save("sender_key", origin, sender, id_, value=lambda: key)
        else:
            plaintext = self.store.decrypt(sender, kind, ciphertext)
            self._save_session(sender)
        return Message.FromString(unpad(plaintext))

    def _learn_sender_key(self, sender: Jid, distribution: Any) -> None:
        group = Jid.parse(distribution.groupID)
        id_ = self.store.learn_sender_key(group, sender, distribution.axolotlSenderKeyDistributionMessage)
        key = self.store.sender_keys[group, sender, id_]
        self._save("sender_key", group, sender, id_, value=lambda: key)

    def _receipt(self, id_: str, to: Jid, participant: Jid | None, kind: str | None) -> None:
        receipt = node("receipt", id=id_, to=to, participant=participant, type=kind, t=now())
        self.network.handle(self.device, receipt)

    def mark_read(self, id_: str) -> None:
        """Tell the sender that a message was read; a second time nothing happens.  Raises MessageNotFound."""
        seq = self._by_id.get(id_)
        if seq is None:
            raise MessageNotFound(f"{self.account.number} has no message {id_}")
        received = self.inbox[seq]
        if received.read or received.from_me:
            return
        received.read = True
        self._save("inbox", _row(seq), value=received)
        self._receipt(id_, received.chat, received.sender if received.chat.server == GROUP else None, "read")

    def summary(self, received: Received) -> dict[str, Any]:
        """A message as the control API shows it."""
        author = self.network.account(received.sender, self.account.realm)
        return {
            "id": received.id,
            "seq": received.seq,
            "from": author.number if author else None,
            "chat": str(received.chat),
            "sender": str(received.sender),
            "sender_name": author.name if author else "",
            "from_me": received.from_me,
            "read": received.read,
            "timestamp": received.t,
            **describe(received.message),
        }

    # --- sending ------------------------------------------------------------------------

    def _resolve(self, to: str) -> Jid:
        """The LID of a number or JID, or a group that this phone is in.  Raises NotOnWhatsApp."""
        try:
            jid = Jid.parse(to) if "@" in to else Jid(to.lstrip("+"), PN)
        except WireError as e:
            raise NotOnWhatsApp(str(e)) from e
        if group := self.network.group(jid, self.account.realm):
            if self.account in group.members:
                return jid
        elif account := self.network.account(jid.bare, self.account.realm):
            return account.lid
        raise NotOnWhatsApp(f"{to} is not on WhatsApp")

    def send(self, to: str, message: Any) -> str:
        """Send a Message to a phone number, a JID or a group; returns the message id.

        Raises NotOnWhatsApp.
        """
        jid, id_, kind = self._resolve(to), os.urandom(8).hex().upper(), media_type(message)
        attrs: dict[str, Any] = {"id": id_, "to": jid, "type": "media" if kind else "text"}
        if jid.server == GROUP:
            stanza = self._group_stanza(jid, message, kind, attrs)
        else:
            stanza = self._direct_stanza(jid, message, kind, attrs)
        self.network.handle(self.device, stanza)
        return id_

    def _group_stanza(self, group: Jid, message: Any, kind: str | None, attrs: dict[str, Any]) -> Node:
        members = self.network.groups[group.user].members
        devices = [d for account in members for d in account.devices.values() if d is not self.device]
        distribution, ciphertext = self.store.group_encrypt(group, pad(message.SerializeToString()))
        told = self._told.setdefault(group, set())
        own = OwnSenderKey(self.store.own_sender_keys[group], told)
        self._save("own_sender_key", group, value=lambda: own)
        hint = Message()
        hint.senderKeyDistributionMessage.groupID = str(group)
        hint.senderKeyDistributionMessage.axolotlSenderKeyDistributionMessage = distribution
        shares = [self._encrypt(d, hint) for d in devices if d.lid not in told]
        told |= {d.lid for d in devices}
        body = node("enc", ciphertext, v=2, type="skmsg", mediatype=kind)
        return node("message", node("participants", *shares), body, addressing_mode="lid", **attrs)

    def _direct_stanza(self, to: Jid, message: Any, kind: str | None, attrs: dict[str, Any]) -> Node:
        partner = self.network.account(to, self.account.realm)
        assert partner is not None, "resolved above"
        copy = Message()
        copy.deviceSentMessage.destinationJID = str(to)
        copy.deviceSentMessage.message.CopyFrom(message)
        shares = [self._encrypt(d, message, kind) for d in partner.devices.values() if d is not self.device]
        if partner is not self.account:
            own = (d for d in self.account.devices.values() if d is not self.device)
            shares += [self._encrypt(d, copy, kind) for d in own]
        return node("message", node("participants", *shares), peer_recipient_pn=partner.pn, **attrs)

    def _encrypt(self, device: Device, message: Any, mediatype: str | None = None) -> Node:
        address = device.lid
        sessions = self.store.sessions.get(address)
        # A number that was linked again has other keys: the old session is of no use.
        if not sessions or sessions[0].remote_identity != device.identity:
            bundle = self.network.take_bundle(device, address)
            key = (int.from_bytes(bundle.data("key", "id"), "big"), bundle.data("key", "value"))
            signed = device.signed_prekey
            registration = int.from_bytes(device.registration, "big")
            known = (int.from_bytes(signed.id, "big"), signed.value)
            self.store.start(address, Bundle(registration, device.identity, known, key if bundle.find("key") else None))
        kind, ciphertext = self.store.encrypt(address, pad(message.SerializeToString()))
        self._save_session(address)
        return node("to", node("enc", ciphertext, v=2, type=kind, mediatype=mediatype), jid=address)

    def send_image(self, to: str, data: bytes, caption: str, mimetype: str) -> str:
        """Upload and send an image; returns the message id.  Raises NotOnWhatsApp."""
        self._resolve(to)
        message = Message()
        image = message.imageMessage
        image.mimetype, image.caption, image.fileLength = mimetype, caption, len(data)
        for name, value in self._upload(data, b"WhatsApp Image Keys").items():
            setattr(image, name, value)
        return self.send(to, message)

    def _upload(self, data: bytes, info: bytes) -> dict[str, Any]:
        """Encrypt an attachment; returns the fields that refer to it."""
        key = os.urandom(32)
        okm = hkdf(key, 112, info=info)
        iv, cipher_key, mac_key = okm[:16], okm[16:48], okm[48:80]
        ciphertext = aes_cbc(cipher_key, iv, data)
        ciphertext += hmac.digest(mac_key, iv + ciphertext, "sha256")[:10]
        digest = hashlib.sha256(ciphertext).digest()
        url, path = self.network.media.put(digest.hex(), ciphertext)
        hashes = {"fileSHA256": hashlib.sha256(data).digest(), "fileEncSHA256": digest}
        return {"mediaKey": key, "URL": url, "directPath": path, "mediaKeyTimestamp": now()} | hashes

    def typing(self, to: str, state: str) -> None:
        """Raises NotOnWhatsApp."""
        self.network.handle(self.device, node("chatstate", node(state), to=self._resolve(to)))

    def call(self, to: str) -> str:
        """Ring; there is no media, so nobody can answer.  Returns the call's id; raises NotOnWhatsApp."""
        id_, jid = os.urandom(16).hex().upper(), self._resolve(to)
        offer = Node(
            "offer",
            {"call-id": id_, "call-creator": self.device.lid},
            [node("audio", enc="opus", rate=16000), node("net", medium=3)],
        )
        self.network.handle(self.device, node("call", offer, to=jid, id=self.network.new_id()))
        return id_

    # --- linked clients -----------------------------------------------------------------

    def welcome(self, device: Device) -> None:
        """First message to a newly linked client: the key of the synchronised settings."""
        key_id, secret = self.keys.settings_key
        name = self.account.collection("critical_block")
        if not name.patches:
            value = SyncActionValue()
            value.pushNameSetting.name = self.account.name
            name.append(first_patch("critical_block", key_id, secret, ["setting_pushName"], value))
            self.network.save_account(self.account)
        message = Message()
        message.protocolMessage.type = message.protocolMessage.APP_STATE_SYNC_KEY_SHARE
        key = message.protocolMessage.appStateSyncKeyShare.keys.add()
        key.keyID.keyID, key.keyData.keyData, key.keyData.timestamp = key_id, secret, now() * 1000
        key.keyData.fingerprint.rawID, key.keyData.fingerprint.currentIndex = 1, 1
        self._send_peer(device, message)

    def send_history(self, device: Device, chats: dict[str, list[str]]) -> None:
        """Past conversations, as a phone sends them after linking: zlib compressed protobuf,
        in the message itself or (larger ones) as an attachment of type "md-msg-hist"."""
        history = HistorySync(syncType=HistorySync.RECENT, chunkOrder=1, progress=100)
        for number, texts in chats.items():
            chat = history.conversations.add(ID=str(self._resolve(number)), name=number)
            for index, text in enumerate(texts):
                past = chat.messages.add(msgOrderID=index).message
                past.key.remoteJID, past.key.fromMe = chat.ID, False
                past.key.ID, past.messageTimestamp = os.urandom(8).hex().upper(), now() - len(texts) + index
                past.message.conversation = text
        blob = zlib.compress(history.SerializeToString())
        message = Message()
        message.protocolMessage.type = message.protocolMessage.HISTORY_SYNC_NOTIFICATION
        notice = message.protocolMessage.historySyncNotification
        notice.syncType, notice.chunkOrder, notice.progress = history.syncType, 1, 100
        if len(blob) < 10_000:
            notice.initialHistBootstrapInlinePayload = blob
        else:
            notice.fileLength = len(blob)
            for name, value in self._upload(blob, b"WhatsApp History Keys").items():
                if name in notice.DESCRIPTOR.fields_by_name:
                    setattr(notice, name, value)
        self._send_peer(device, message)

    def _send_peer(self, device: Device, message: Any) -> None:
        """A message within the account; clients see it with category "peer"."""
        share, id_ = self._encrypt(device, message), os.urandom(8).hex().upper()
        stanza = node("message", node("participants", share), id=id_, to=self.account.lid, type="text", category="peer")
        self.network.handle(self.device, stanza)
