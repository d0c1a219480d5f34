"""What a phone writes: the stanzas around its messages, what it keeps of them, and its answers to retry receipts."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sandbox.contents import edit_attribute, media_type, stanza_type
from sandbox.errors import NotOnWhatsApp
from sandbox.model import MAX_REMEMBERED, Account, Device
from sandbox.protos import Message
from sandbox.wire import GROUP, NEWSLETTER, PN, STATUS, Jid, Node, WireError, node

from .cipher import Cipher
from .records import Received

if TYPE_CHECKING:
    from sandbox.network import Network

    from .phone import Phone

MAX_RETRIES = 5  # for one message and device, as the apps have it


def new_message_id() -> str:
    return os.urandom(8).hex().upper()


def _garbled(enc: Node) -> Node:
    assert isinstance(enc.content, bytes)
    return Node("enc", enc.attrs, enc.content[:-1] + bytes([enc.content[-1] ^ 1]))


def _enc_attrs(message: Any) -> dict[str, Any]:
    hidden = edit_attribute(message) or stanza_type(message) == "reaction" or message.HasField("pollUpdateMessage")
    return {"mediatype": media_type(message), "decrypt-fail": "hide" if hidden else None}


def _meta(message: Any) -> Node | None:
    if stanza_type(message) != "poll":
        return None
    return node("meta", polltype="vote" if message.HasField("pollUpdateMessage") else "creation")


class Outbox:
    """`deliver` sends a Message to whoever a JID names."""

    def __init__(self, phone: Phone, cipher: Cipher) -> None:
        self._phone, self._cipher = phone, cipher
        self._network: Network = phone.network
        self._account: Account = phone.account
        self._told_again: dict[tuple[str, Jid], int] = {}  # message id, device -> retries answered

    @property
    def _device(self) -> Device:
        return self._phone.device

    def resolve(self, to: str) -> Jid:
        """The LID of a number or JID, or a group that this phone is in, a newsletter, the status list.

        Raises NotOnWhatsApp.
        """
        try:
            jid = Jid.parse(to) if "@" in to else Jid(to.lstrip("+"), PN)
        except WireError as e:
            raise NotOnWhatsApp(str(e)) from e
        realm = self._account.realm
        if jid == STATUS:
            return jid
        if group := self._network.group(jid, realm):
            if self._account in group.members:
                return jid
        elif self._network.newsletter(jid, realm):
            return jid
        elif account := self._network.account(jid.bare, realm):
            return account.lid
        raise NotOnWhatsApp(f"{to} is not on WhatsApp")

    # --- sending ------------------------------------------------------------------------

    def deliver(
        self,
        to: Jid,
        message: Any,
        *,
        id_: str = "",
        audience: Iterable[Account] | None = None,
        undecryptable: bool = False,
    ) -> Received:
        """Send a Message to a resolved JID and keep it.  `audience` are the readers of a status post."""
        id_ = id_ or new_message_id()
        attrs: dict[str, Any] = {"id": id_, "to": to, "type": stanza_type(message), "edit": edit_attribute(message)}
        if to.server == NEWSLETTER:
            stanza = self._newsletter_stanza(message, attrs)
        elif to.server == GROUP:
            members = self._network.groups[to.user].members
            stanza = self._shared_stanza(to, members, message, attrs)
        elif to == STATUS:
            readers = {*(self._network.status_readers(self._account) if audience is None else audience), self._account}
            stanza = self._shared_stanza(to, readers, message, attrs)
        else:
            stanza = self._direct_stanza(to, message, attrs)
        if undecryptable:
            stanza = self._damaged(stanza)
        kept = self._phone.inbox.keep_sent(id_, to, message, unanswered=undecryptable)
        self._network.handle(self._device, stanza)
        return kept

    def _newsletter_stanza(self, message: Any, attrs: dict[str, Any]) -> Node:
        """Plaintext; an edit or revocation has the id of what it is about."""
        protocol = message.protocolMessage
        plaintext: bytes | None = message.SerializeToString()
        if attrs["edit"]:
            attrs |= {"id": protocol.key.ID, "edit": "3" if attrs["edit"] == "1" else "8"}
            edited = protocol.type == protocol.MESSAGE_EDIT
            plaintext = protocol.editedMessage.SerializeToString() if edited else None
        return node("message", node("plaintext", plaintext, mediatype=media_type(message)), **attrs)

    def _shared_stanza(self, to: Jid, readers: Iterable[Account], message: Any, attrs: dict[str, Any]) -> Node:
        """For a group or the status list: one ciphertext for all."""
        devices = [d for account in readers for d in account.devices.values() if d is not self._device]
        plaintext = message.SerializeToString()
        shares, enc = self._cipher.encrypt_for_group(to, devices, plaintext, **_enc_attrs(message))
        if to == STATUS:  # who gets it is told by the list alone
            known = {share.jid("jid") for share in shares}
            shares += [node("to", jid=d.lid) for d in devices if d.lid not in known]
        participants = node("participants", *shares)
        return node("message", participants, enc, _meta(message), addressing_mode="lid", **attrs)

    def _direct_stanza(self, to: Jid, message: Any, attrs: dict[str, Any]) -> Node:
        partner = self._network.account(to, self._account.realm)
        assert partner is not None, "resolved above"
        enc = _enc_attrs(message)
        plaintext, copy = message.SerializeToString(), self._copy(to, message)
        own = [d for d in self._account.devices.values() if d is not self._device]
        shares = []
        if partner is not self._account:
            shares = [self._cipher.share(d, plaintext, **enc) for d in partner.devices.values()]
        shares += [self._cipher.share(d, copy, **enc) for d in own]
        return node("message", node("participants", *shares), _meta(message), peer_recipient_pn=partner.pn, **attrs)

    @staticmethod
    def _copy(to: Jid, message: Any) -> bytes:
        """What the other devices of the account get."""
        copy = Message()
        copy.deviceSentMessage.destinationJID = str(to)
        copy.deviceSentMessage.message.CopyFrom(message)
        if message.HasField("messageContextInfo"):
            copy.messageContextInfo.CopyFrom(message.messageContextInfo)
        return bytes(copy.SerializeToString())

    def _damaged(self, stanza: Node) -> Node:
        """The same with every ciphertext damaged (its last byte belongs to the MAC or signature)."""
        if stanza.tag == "enc":
            return _garbled(stanza)
        if not isinstance(stanza.content, list):
            return stanza
        return Node(stanza.tag, stanza.attrs, [self._damaged(child) for child in stanza.content])

    def send_peer(self, device: Device, message: Any) -> None:
        """A message within the account; clients see it with category "peer"."""
        share = self._cipher.share(device, message.SerializeToString())
        attrs: dict[str, Any] = {"id": new_message_id(), "to": self._account.lid, "type": "text", "category": "peer"}
        self._network.handle(self._device, node("message", node("participants", share), **attrs))

    # --- retries ------------------------------------------------------------------------

    def answer_retry(self, receipt: Node) -> None:
        """Encrypt a message once more for a device that could not read it."""
        asker = receipt.optional_jid("participant") or receipt.jid("from")
        device = self._network.device(asker, self._account.realm)
        retry, sent = receipt.find("retry"), self._phone.inbox.sent_by_id(receipt.text("id"))
        if device is None or retry is None or sent is None or sent.unanswered:
            return
        key = (sent.id, device.lid)
        answered = self._told_again.pop(key, 0)
        if answered >= MAX_RETRIES:
            return
        self._told_again[key] = answered + 1
        if len(self._told_again) > MAX_REMEMBERED:
            del self._told_again[next(iter(self._told_again))]
        message, count = Message.FromString(sent.message), retry.number("count", 1)
        attrs: dict[str, Any] = {"id": sent.id, "type": stanza_type(message), "edit": edit_attribute(message)}
        attrs |= {"t": sent.t}
        plaintext = message.SerializeToString()
        if sent.chat.server == GROUP or sent.chat == STATUS:
            self._cipher.forget_told(sent.chat, device)
            attrs |= {"to": sent.chat, "participant": device.lid, "addressing_mode": "lid"}
        else:
            attrs |= {"to": device.lid, "device_fanout": "false"}
            if device.account is self._account:
                plaintext, attrs["recipient"] = self._copy(sent.chat, message), sent.chat
        enc = self._cipher.encrypt(
            device, plaintext, afresh=count > 1 or receipt.find("keys") is not None, count=count, **_enc_attrs(message)
        )
        self._network.handle(self._device, node("message", enc, _meta(message), **attrs))
