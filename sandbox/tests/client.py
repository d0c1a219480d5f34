"""Real neonize clients in a process of their own, driven by JSON lines.

Started with the environment of a sandbox.  Each line on stdin is {"request", "do", ...} and gets a line
{"request", "result"} or {"request", "error"} on stdout; events come as {"client", "event", ...}.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import sys
import threading
from typing import Any

import pylibmagic  # noqa: F401  (before neonize: it brings libmagic)
from neonize import events
from neonize.client import NewClient
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message
from neonize.utils import Jid2String, build_jid, extract_text

# neonize prints to stdout; our lines go where it cannot disturb them.
LINES = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)
logging.getLogger("neonize.utils.log").setLevel(logging.WARNING)

STORE = "?_journal_mode=WAL&_synchronous=NORMAL&_foreign_keys=on&_busy_timeout=5000&_x="
_lines, _starting = threading.Lock(), threading.Lock()


def tell(**line: Any) -> None:
    with _lines:
        LINES.write(json.dumps(line) + "\n")


class Client:
    """One linked (or to be linked) client."""

    def __init__(self, name: str, database: str, attempt: int) -> None:
        self.name, self.started = name, threading.Event()
        self.neonize = NewClient(database + STORE, uuid=f"{name}-{attempt}", new_device=not os.path.exists(database))
        self.neonize.event.qr(self.on_qr)
        for event in (
            events.ConnectedEv,
            events.DisconnectedEv,
            events.LoggedOutEv,
            events.StreamReplacedEv,
            events.TemporaryBanEv,
            events.PresenceEv,
            events.CallOfferEv,
            events.UndecryptableMessageEv,
        ):
            self.neonize.event(event)(self.on_event)
        self.neonize.event(events.MessageEv)(self.on_message)
        self.neonize.event(events.ReceiptEv)(self.on_receipt)

    def start(self) -> None:
        with _starting:  # the library has no lock of its own
            threading.Thread(target=self.run, daemon=True).start()
            self.started.wait(20)

    def run(self) -> None:
        try:
            self.neonize.connect()
        except Exception as e:
            tell(client=self.name, event="connect_failed", error=repr(e))
        self.started.set()

    def on_qr(self, _: Any, code: bytes) -> None:
        self.started.set()
        tell(client=self.name, event="qr", code=code.decode())

    def on_event(self, _: Any, event: Any) -> None:
        self.started.set()
        tell(client=self.name, event=type(event).__name__)

    def on_message(self, _: Any, event: Any) -> None:
        info, fields = event.Info, {f.name for f, _ in event.Message.ListFields()}
        if info.Category == "peer" or not fields - {"senderKeyDistributionMessage", "messageContextInfo"}:
            return
        image = event.Message.imageMessage
        data = self.neonize.download_any(event.Message) if event.Message.HasField("imageMessage") else b""
        tell(
            client=self.name,
            event="message",
            id=info.ID,
            text=image.caption or extract_text(event.Message),
            chat=Jid2String(info.MessageSource.Chat),
            sender=Jid2String(info.MessageSource.SenderAlt),
            from_me=info.MessageSource.IsFromMe,
            data=base64.b64encode(data).decode(),
        )

    def on_receipt(self, _: Any, event: Any) -> None:
        kind = event.DESCRIPTOR.fields_by_name["Type"].enum_type
        tell(client=self.name, event="receipt", ids=list(event.MessageIDs), type=kind.values_by_number[event.Type].name)


class Driver:
    """What can be asked for; every method is a request."""

    def __init__(self) -> None:
        self.clients: dict[str, Client] = {}
        self.attempts = 0

    def start(self, client: str, database: str) -> None:
        self.attempts += 1
        self.clients[client] = Client(client, database, self.attempts)
        self.clients[client].start()

    def stop(self, client: str) -> None:
        with _starting:
            self.clients[client].neonize.stop()

    def pair_code(self, client: str, phone: str) -> str:
        return self.clients[client].neonize.PairPhone(phone, True)

    def send(self, client: str, to: str, text: str) -> str:
        jid = build_jid(*to.split("@")) if "@" in to else build_jid(to)
        return self.clients[client].neonize.send_message(jid, Message(conversation=text)).ID

    def on_whatsapp(self, client: str, phone: str) -> bool:
        (answer,) = self.clients[client].neonize.is_on_whatsapp(phone)
        return bool(answer.IsIn)

    def create_group(self, client: str, name: str, phones: list[str]) -> str:
        return Jid2String(self.clients[client].neonize.create_group(name, [build_jid(p) for p in phones]).JID)

    def send_image(self, client: str, to: str, data: str, caption: str) -> str:
        neonize, image = self.clients[client].neonize, base64.b64decode(data)
        up = neonize.upload(image)
        message = Message()
        part = message.imageMessage
        part.URL, part.directPath, part.mediaKey = up.url, up.DirectPath, up.MediaKey
        part.fileEncSHA256, part.fileSHA256, part.fileLength = up.FileEncSHA256, up.FileSHA256, up.FileLength
        part.mimetype, part.caption = "image/jpeg", caption
        return neonize.send_message(build_jid(to), message).ID


def serve(driver: Driver, request: dict[str, Any]) -> None:
    number = request.pop("request")
    try:
        tell(request=number, result=getattr(driver, request.pop("do"))(**request))
    except Exception as e:
        tell(request=number, error=f"{type(e).__name__}: {e}")


def main() -> None:
    driver = Driver()
    tell(event="ready")
    for line in sys.stdin:
        threading.Thread(target=serve, args=(driver, json.loads(line)), daemon=True).start()
    os._exit(0)  # the library's threads never end by themselves


if __name__ == "__main__":
    main()
