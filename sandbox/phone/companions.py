"""What a phone sends to the linked clients of its own account: keys, synchronised settings, history."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from sandbox.appstate import first_patch
from sandbox.attachments import HISTORY_INFO
from sandbox.model import Account, Device, now
from sandbox.protos import Message, SyncActionValue

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
        name = self._account.collection("critical_block")
        if not name.patches:
            value = SyncActionValue()
            value.pushNameSetting.name = self._account.name
            name.append(first_patch("critical_block", key_id, secret, ["setting_pushName"], value))
            self._phone.network.save_account(self._account)
        message = Message()
        message.protocolMessage.type = message.protocolMessage.APP_STATE_SYNC_KEY_SHARE
        key = message.protocolMessage.appStateSyncKeyShare.keys.add()
        key.keyID.keyID, key.keyData.keyData, key.keyData.timestamp = key_id, secret, now() * 1000
        key.keyData.fingerprint.rawID, key.keyData.fingerprint.currentIndex = 1, 1
        self._phone.outbox.send_peer(device, message)

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
