"""What attachments and commands reach of a held number: the client library's calls, while it is connected."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Sequence
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path
from typing import Any

from instances.holding.fence import Fence
from instances.holding.watchdog import Watchdog
from instances.holding.writer import Writer
from instances.whatsapp.account import Account
from instances.whatsapp.client import Client
from instances.whatsapp.failures import SendFailed
from instances.whatsapp.files import Place
from instances.whatsapp.jids import Jid
from instances.whatsapp.news import GroupInfo, Sent
from instances.whatsapp.people import Registration


class Reach:
    """The part of a Connection that is for others. Its calls raise SendFailed, also while the number is offline."""

    instance_id: str
    epoch: int
    fence: Fence
    watchdog: Watchdog
    _writer: Writer
    _stopping: threading.Event
    _client: Client | None
    _online: bool
    _shown_online: bool
    _last_use: float

    @property
    def online(self) -> bool:
        return self._online and not self._stopping.is_set() and self.fence.holds

    def write(self, value: Any, *, urgent: bool = True) -> Future[Any]:
        return self._writer.submit(self.instance_id, self.epoch, value, urgent=urgent)

    def send(self, to: Jid, message: Any) -> Sent:
        self._last_use = time.monotonic()
        with self.watchdog.sending():
            sent = self._connected().send(to, message)
        self.watchdog.heard()
        return sent

    def group(self, jid: Jid) -> GroupInfo:
        return self._connected().group(jid)

    def mark_read(self, chat: Jid, sender: Jid, wa_ids: Sequence[str], at: datetime) -> None:
        self._connected().mark_read(chat, sender, wa_ids, at)

    def chat_presence(self, chat: Jid, state: str) -> None:
        self._connected().chat_presence(chat, state)

    def reject_call(self, caller: Jid, wa_id: str) -> None:
        self._connected().reject_call(caller, wa_id)

    def status_privacy(self) -> str:
        return self._connected().status_privacy()

    def upload(self, kind: str, path: Path, newsletter: bool) -> Place:
        return self._connected().upload(kind, path, newsletter)

    def are_on_whatsapp(self, phones: Collection[str]) -> dict[str, Registration | None]:
        return self._connected().are_on_whatsapp(phones)

    def presence(self, *, available: bool) -> None:
        self._connected().presence(available=available)
        self._shown_online = available

    def announce(self) -> None:
        self._connected().presence(available=self._shown_online)

    @property
    def account(self) -> Account:
        return self._connected().account

    def _connected(self) -> Client:
        """For one call. A process that was stopped for longer than its lease sends nothing when it goes on."""
        client = self._client
        if client is None or not self.fence.holds:
            raise SendFailed("client is nil: the number is offline")
        return client
