"""One attempt to be connected: the client library's blocking call on the caller's thread.

Every attempt has a unique name in the library, and every object stays referenced for the life of the
process: the library stops whatever client bears the name of a collected object.
"""

from __future__ import annotations

import ctypes
import itertools
import logging
import mmap
import os
import re
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from instances.whatsapp import library
from instances.whatsapp.account import Account, business_name
from instances.whatsapp.failures import SendFailed
from instances.whatsapp.files import Place
from instances.whatsapp.gate import GATE
from instances.whatsapp.jids import Jid
from instances.whatsapp.library import gocode, jid_message, proto
from instances.whatsapp.news import GroupInfo, Sent
from instances.whatsapp.people import Registration
from instances.whatsapp.translating.groups import group_of
from instances.whatsapp.translating.values import jid_of

log = logging.getLogger("whatsapp")
DEVICE = 0  # the library's own first event: the client is in its maps
QR_SECONDS = (60, 20)  # how long the first code of a link is shown, and each further one

_IMAGE, _VIDEO, _AUDIO, _DOCUMENT = range(4)  # the library's media types
_MEDIA_TYPES = {
    "image": _IMAGE,
    "sticker": _IMAGE,
    "video": _VIDEO,
    "gif": _VIDEO,
    "round": _VIDEO,
    "audio": _AUDIO,
    "voice": _AUDIO,
    "document": _DOCUMENT,
}
# A message that could not be decrypted since the library's store did not answer. WhatsApp is told that it was received,
# and its sender is asked to send it again, four times within some round trips.
_STORE_AWAY = re.compile(
    r"^Error decrypting message .*(bad connection|connect: |connection reset|broken pipe|EOF|i/o timeout|pq: )",
    re.DOTALL,
)
store_away: list[Callable[[], None]] = []  # called at once, by a thread of the library's: no waiting
_attempts = itertools.count(1)
_keep: list[Client] = []


@lru_cache(maxsize=10_000)
def _jid_bytes(jid: Jid) -> bytes:
    return bytes(jid_message(jid).SerializeToString())


def _log_line(pointer: int, size: int) -> None:
    entry = proto.LogEntry.FromString(ctypes.string_at(pointer, size))
    level = {"ERROR": logging.WARNING, "WARN": logging.INFO}.get(entry.Level, logging.DEBUG)
    log.log(level, "%s: %s", entry.Name, entry.Message)
    if _STORE_AWAY.search(entry.Message):
        for call in store_away:
            call()


class Client:
    """Connects a linked device, or with ``device`` None offers a new link.

    ``on_event(code, raw)`` runs on the thread of `run`, one event at a time and in order; the library
    hands over the next one when it has returned. ``on_qr(text, seconds)`` and ``on_status(text)`` are for links,
    as is ``device_name``, which the library keeps once for the whole process. ``proxy`` is a URL whose host the library
    dials as it is.
    """

    def __init__(
        self,
        store_name: str,
        device: Jid | None,
        codes: frozenset[int],
        on_event: Callable[[int, bytes], None],
        on_qr: Callable[[str, int], None] = lambda text, seconds: None,
        on_status: Callable[[str], None] = lambda text: None,
        *,
        proxy: str | None = None,
        device_name: str = "WhatsApp API",
    ) -> None:
        self._store_name, self._device = store_name.encode(), device
        self._uuid = f"{os.getpid()}-{next(_attempts)}".encode()
        self._on_event, self._on_qr, self._on_status = on_event, on_qr, on_status
        self._proxy, self._device_name = proxy, device_name
        self._codes = bytearray(sorted(codes))
        self._qr_count = 0
        self._keep_alive: tuple[Any, ...] = ()
        self._registered = False
        self.account = Account(self._uuid, lambda: self._registered)
        _keep.append(self)

    def _event(self, _: Any, pointer: int, size: int, code: int) -> None:
        try:
            if code == DEVICE:
                self._registered = True
                GATE.open(self)
            else:
                self._on_event(code, ctypes.string_at(pointer, size) if size else b"")
        except BaseException:
            # ctypes would print it and forget it; the session itself must go on.
            log.exception("event %d was lost", code)

    def _qr(self, _: Any, pointer: int) -> None:
        seconds = QR_SECONDS[min(self._qr_count, 1)]
        self._qr_count += 1
        self._on_qr(ctypes.string_at(pointer).decode(), seconds)

    def _status(self, _: Any, pointer: int) -> None:
        self._on_status(ctypes.string_at(pointer).decode(errors="replace"))

    def run(self) -> str:
        """Connect and stay until the library gives up or `stop`; returns its error text, or an empty one.

        A failed link never returns, whatever one does: run links in a process of their own.
        """
        device = jid_message(self._device).SerializeToString() if self._device else b""
        props = library.DeviceProps(os=self._device_name, platformType=library.DeviceProps.CHROME)
        properties = props.SerializeToString()
        codes = (ctypes.c_char * len(self._codes)).from_buffer(self._codes)
        proxy = library.CProxySettings(proxyAddress=self._proxy.encode()) if self._proxy else None
        self._keep_alive = (
            proxy,
            library.func_string(self._qr),
            library.func_string(self._status),
            library.func_callback_bytes(self._event),
            library.func_callback_bytes2(_log_line),
            codes,
        )
        GATE.close(self)
        try:
            error = gocode.Neonize(
                self._store_name, self._uuid, device, len(device), int(self._device is None), b"WARN",
                *self._keep_alive[1:], len(self._codes), properties, len(properties), b"", 0,
                ctypes.byref(proxy) if proxy else None,
            )  # fmt: skip
        finally:
            GATE.open(self)
        return error.decode(errors="replace")

    def send(self, to: Jid, message: Any) -> Sent:
        """Send a message and wait for the server's acknowledgement, at most 75 s. Raises SendFailed.

        When the connection ended meanwhile, the library sends it again over the next one and waits until that ends.
        """
        recipient, payload = _jid_bytes(to), message.SerializeToString()
        GATE.enter()
        raw = gocode.SendMessage(self._uuid, recipient, len(recipient), payload, len(payload))
        answer = proto.SendMessageReturnFunction.FromString(raw)
        if answer.Error:
            raise SendFailed(answer.Error)
        return Sent(answer.SendResponse.ID, answer.SendResponse.Timestamp)

    def mark_read(self, chat: Jid, sender: Jid, wa_ids: Sequence[str], at: datetime) -> None:
        """Send a read receipt for messages of one sender in a chat. Raises SendFailed.

        WhatsApp does not confirm it. The account's privacy settings decide whether the sender is told.
        """
        place, author = jid_message(chat).SerializeToString(), jid_message(sender).SerializeToString()
        ids = " ".join(wa_ids).encode()
        GATE.enter()
        error = gocode.MarkRead(
            self._uuid, ids, int(at.timestamp()), place, len(place), author, len(author), b"read"
        )  # fmt: skip
        if error:
            raise SendFailed(error.decode(errors="replace"))

    def chat_presence(self, chat: Jid, state: str) -> None:
        """Show that we are ``composing`` or ``recording``, or have ``paused``. Raises SendFailed."""
        place = jid_message(chat).SerializeToString()
        GATE.enter()
        error = gocode.SendChatPresence(
            self._uuid, place, len(place), int(state == "paused"), int(state == "recording")
        )
        if error:
            raise SendFailed(error.decode(errors="replace"))

    def reject_call(self, caller: Jid, wa_id: str) -> None:
        """Reject a call, of which WhatsApp confirms nothing; ``caller`` as the offer named it. Raises SendFailed."""
        author = jid_message(caller).SerializeToString()
        GATE.enter()
        if error := gocode.RejectCall(self._uuid, author, len(author), wa_id.encode()):
            raise SendFailed(error.decode(errors="replace"))

    def waits_for_login(self) -> bool:
        """Whether the socket is open and WhatsApp has not let the number in."""
        GATE.enter()
        return bool(gocode.IsConnected(self._uuid)) and not gocode.IsLoggedIn(self._uuid)

    def presence(self, *, available: bool) -> None:
        """Show that the number is online, or not any more. Raises SendFailed."""
        GATE.enter()
        if error := gocode.SendPresence(self._uuid, b"available" if available else b"unavailable"):
            raise SendFailed(error.decode(errors="replace"))

    def log_out(self) -> None:
        """Remove the link at WhatsApp and in the store; the client is of no use afterwards. Raises SendFailed."""
        GATE.enter()
        if error := gocode.Logout(self._uuid):
            raise SendFailed(error.decode(errors="replace"))

    def status_privacy(self) -> str:
        """Who gets status posts: ``contacts``, ``blacklist`` or ``whitelist``. Raises SendFailed."""
        GATE.enter()
        answer = proto.GetStatusPrivacyReturnFunction.FromString(gocode.GetStatusPrivacy(self._uuid))
        if answer.Error:
            raise SendFailed(answer.Error)
        return str(proto.StatusPrivacy.StatusPrivacyType.Name(answer.StatusPrivacy[0].Type)).lower()

    def group(self, jid: Jid) -> GroupInfo:
        """Who is in a group and who its admins are; asks WhatsApp. Raises SendFailed."""
        request = jid_message(jid).SerializeToString()
        GATE.enter()
        answer = proto.GetGroupInfoReturnFunction.FromString(gocode.GetGroupInfo(self._uuid, request, len(request)))
        if answer.Error:
            raise SendFailed(answer.Error)
        return group_of(answer.GroupInfo)

    def upload(self, kind: str, path: Path, newsletter: bool) -> Place:
        """Upload a file; the library copies the whole of it. Raises SendFailed, FileNotFoundError."""
        call = gocode.UploadNewsletter if newsletter else gocode.Upload
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as content:
            view = (ctypes.c_char * len(content)).from_buffer(content)
            try:
                GATE.enter()
                raw = call(self._uuid, view, len(content), _MEDIA_TYPES[kind])
            finally:
                del view  # else the map could not be closed
        answer = proto.UploadReturnFunction.FromString(raw)
        if answer.Error:
            raise SendFailed(f"media upload: {answer.Error}")
        place = answer.UploadResponse
        keys = (place.MediaKey, place.FileSHA256, place.FileEncSHA256)
        return Place(place.url, place.DirectPath, *keys, place.FileLength)

    def are_on_whatsapp(self, phones: Collection[str]) -> dict[str, Registration | None]:
        """Who each phone number is on WhatsApp; None for one that is not.

        A number that WhatsApp said nothing of is left out. The library remembers the LIDs. Raises SendFailed.
        """
        numbers = " ".join(f"+{phone}" for phone in phones).encode()
        GATE.enter()
        raw = gocode.IsOnWhatsApp(self._uuid, numbers, len(numbers))
        answer = proto.IsOnWhatsAppReturnFunction.FromString(raw)
        if answer.Error:
            raise SendFailed(answer.Error)
        found = {one.Query.lstrip("+"): one for one in answer.IsOnWhatsAppResponse}
        return {phone: _registration(found[phone]) for phone in phones if phone in found}

    def pairing_code(self, phone: str) -> str:
        """Ask for a code to type on the phone; only after the first QR code. Raises SendFailed."""
        params = proto.PairPhoneParams(
            phone=phone, showPushNotification=True, clientType=1, clientDisplayName="Chrome (Linux)"
        ).SerializeToString()
        GATE.enter()
        answer = proto.PairPhoneReturnFunction.FromString(gocode.PairPhone(self._uuid, params, len(params)))
        if answer.Error:
            raise SendFailed(answer.Error)
        return str(answer.Code)

    def disconnect(self) -> None:
        """Close the socket: no new events and no new acknowledgements; `run` goes on with what is queued.

        Only for a client whose `run` has not returned.
        """
        GATE.enter()
        gocode.Disconnect(self._uuid)

    def stop(self) -> None:
        """Remove the client from the library; `run` returns. Safe at any time, needed after every `run`."""
        with GATE.closed():
            self._registered = False
            gocode.Stop(self._uuid)


def _registration(answer: Any) -> Registration | None:
    return Registration(jid_of(answer.JID), business_name(answer.VerifiedName)) if answer.IsIn else None
