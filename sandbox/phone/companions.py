"""What a phone sends to the linked clients of its own account: keys, synchronised settings, history."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from sandbox.appstate import Settings
from sandbox.attachments import HISTORY_INFO
from sandbox.model import Account, Device, lid_of, now
from sandbox.protos import Message, SyncActionValue
from sandbox.wire import PN, Jid, node

from .files import store

if TYPE_CHECKING:
    from .phone import Phone

_INLINE = 10_000  # bytes up to which a history travels in the message itself


class Companions:
    def __init__(self, phone: Phone) -> None:
        self._phone = phone
        self._account: Account = phone.account

    def welcome(self, device: Device) -> None:
        """First message to a newly linked client: the key of the synchronised settings."""
        key_id, secret = self._phone.keys.settings_key
        if not self._account.collection("critical_block").patches:
            value = SyncActionValue()
            value.pushNameSetting.name = self._account.name
            self._write("critical_block", [(["setting_pushName"], value, True)])
        message = Message()
        message.protocolMessage.type = message.protocolMessage.APP_STATE_SYNC_KEY_SHARE
        key = message.protocolMessage.appStateSyncKeyShare.keys.add()
        key.keyID.keyID, key.keyData.keyData, key.keyData.timestamp = key_id, secret, now() * 1000
        key.keyData.fingerprint.rawID, key.keyData.fingerprint.currentIndex = 1, 1
        self._phone.outbox.send_peer(device, message)

    def _write(self, name: str, changes: list[tuple[list[str], Any, bool]]) -> None:
        """Change synchronised settings, and tell the linked clients."""
        network, collection = self._phone.network, self._account.collection(name)
        Settings(*self._phone.keys.settings_key).write(name, collection, changes)
        network.save_account(self._account)
        network.notify(self._account, node("collection", name=name, version=collection.version), type="server_sync")

    def save_contacts(self, contacts: dict[str, str]) -> None:
        """Phone number -> name into the address book, an empty name takes one out; clients learn of it."""
        changes: list[tuple[list[str], Any, bool]] = []
        for number, name in contacts.items():
            if not name and number not in self._account.contacts:
                continue
            value = SyncActionValue()
            value.contactAction.fullName, value.contactAction.firstName = name, name.partition(" ")[0]
            value.contactAction.lidJID, value.contactAction.saveOnPrimaryAddressbook = str(lid_of(number)), True
            changes.append((["contact", str(Jid(number, PN))], value, bool(name)))
            self._account.contacts.pop(number, None)
            if name:
                self._account.contacts[number] = name
        if changes:
            self._write("critical_unblock_low", changes)

    def send_history(self, device: Device, history: Any) -> None:
        """One chunk of history (a HistorySync): zlib compressed protobuf, in the message itself or (larger ones)
        as an attachment of type "md-msg-hist"."""
        blob = zlib.compress(history.SerializeToString())
        message = Message()
        message.protocolMessage.type = message.protocolMessage.HISTORY_SYNC_NOTIFICATION
        notice = message.protocolMessage.historySyncNotification
        notice.syncType, notice.chunkOrder, notice.progress = history.syncType, history.chunkOrder, history.progress
        if len(blob) < _INLINE:
            notice.initialHistBootstrapInlinePayload = blob
        else:
            store(self._phone.network.media, self._account.number, [blob], HISTORY_INFO).refer(notice)
        self._phone.outbox.send_peer(device, message)
