"""Real neonize clients in a process of their own, driven by JSON lines.

Started with the environment of a sandbox.  Each line on stdin is {"request", "do", ...} and gets a line
{"request", "result"} or {"request", "error"} on stdout; events come as {"client", "event", ...}.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import sys
import threading
from typing import Any

import pylibmagic  # noqa: F401  (before neonize: it brings libmagic)
from google.protobuf.json_format import MessageToDict, ParseDict
from neonize import events
from neonize._binder import gocode
from neonize.client import NewClient
from neonize.proto.Neonize_pb2 import Message as MessageEv
from neonize.proto.Neonize_pb2 import ReturnFunctionWithError
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message
from neonize.utils import Jid2String, build_jid, extract_text
from neonize.utils.enum import ChatPresence, ChatPresenceMedia, MediaType, ReceiptType

# neonize prints to stdout; our lines go where it cannot disturb them.
LINES = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)
logging.getLogger("neonize.utils.log").setLevel(logging.WARNING)

STORE = "?_journal_mode=WAL&_synchronous=NORMAL&_foreign_keys=on&_busy_timeout=5000&_x="
_lines, _starting = threading.Lock(), threading.Lock()


def tell(**line: Any) -> None:
    with _lines:
        LINES.write(json.dumps(line) + "\n")


ATTACHMENTS = ("imageMessage", "videoMessage", "audioMessage", "documentMessage", "stickerMessage")


def _shown(data: bytes) -> str:
    """In base64, or what can be said about a large file."""
    if len(data) > 1 << 20:
        return f"{len(data)} bytes: {hashlib.sha256(data).hexdigest()}"
    return base64.b64encode(data).decode()


def _attached(message: Any, name: str) -> Any:
    return Message(**{name: getattr(message, name)}) if message.HasField(name) else None


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
            events.HistorySyncEv,
            events.ChatPresenceEv,
            events.NewsletterJoinEv,
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
        tell(client=self.name, event=type(event).__name__, fields=MessageToDict(event))

    def on_message(self, _: Any, event: Any) -> None:
        info, fields = event.Info, {f.name for f, _ in event.Message.ListFields()}
        if info.Category == "peer" or not fields - {"senderKeyDistributionMessage", "messageContextInfo"}:
            return
        attached = next((part for name in ATTACHMENTS if (part := _attached(event.Message, name))), None)
        data = ""
        if attached:
            try:
                data = _shown(self.neonize.download_any(attached))
            except Exception as e:
                data = repr(e)
        tell(
            client=self.name,
            event="message",
            id=info.ID,
            text=event.Message.imageMessage.caption or extract_text(event.Message),
            chat=Jid2String(info.MessageSource.Chat),
            sender=Jid2String(info.MessageSource.SenderAlt),
            from_me=info.MessageSource.IsFromMe,
            data=data,
            edit=info.Edit,
            message=MessageToDict(event.Message, preserving_proto_field_name=True),
            event_bytes=base64.b64encode(event.SerializeToString()).decode(),
        )

    def on_receipt(self, _: Any, event: Any) -> None:
        kind = event.DESCRIPTOR.fields_by_name["Type"].enum_type
        tell(
            client=self.name,
            event="receipt",
            ids=list(event.MessageIDs),
            type=kind.values_by_number[event.Type].name,
            sender=Jid2String(event.MessageSource.Sender),
        )


UPLOADS = {
    "imageMessage": "MediaImage",
    "videoMessage": "MediaVideo",
    "ptvMessage": "MediaVideo",
    "audioMessage": "MediaAudio",
    "documentMessage": "MediaDocument",
    "stickerMessage": "MediaImage",
}


def _jid(text: str) -> Any:
    return build_jid(*text.split("@")) if "@" in text else build_jid(text)


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
        return self.clients[client].neonize.send_message(_jid(to), Message(conversation=text)).ID

    def send_any(self, client: str, to: str, message: dict[str, Any], media: dict[str, str | int] | None = None) -> Any:
        """A Message in its JSON form; `media` are attachments to upload first: field -> base64, or a size."""
        neonize, built, jid = self.clients[client].neonize, ParseDict(message, Message()), _jid(to)
        for name, data in (media or {}).items():
            newsletter = jid.Server == "newsletter"
            content = os.urandom(data) if isinstance(data, int) else base64.b64decode(data)
            kind = getattr(MediaType, UPLOADS[name])
            up = (neonize.upload_newsletter if newsletter else neonize.upload)(content, kind)
            part = getattr(built, name)
            part.URL, part.directPath = up.url, up.DirectPath
            part.fileSHA256, part.fileLength = up.FileSHA256, up.FileLength
            if up.MediaKey:
                part.mediaKey, part.fileEncSHA256 = up.MediaKey, up.FileEncSHA256
        sent = neonize.send_message(jid, built)
        return {"id": sent.ID, "server_id": sent.ServerID}

    def contact(self, client: str, jid: str) -> str:
        return self.clients[client].neonize.contact.get_contact(_jid(jid)).FullName

    def revoke(self, client: str, to: str, id: str) -> str:
        neonize = self.clients[client].neonize
        return neonize.revoke_message(_jid(to), neonize.me.JID, id).ID

    def react(self, client: str, to: str, sender: str, id: str, emoji: str) -> str:
        neonize = self.clients[client].neonize
        return neonize.send_message(_jid(to), neonize.build_reaction(_jid(to), _jid(sender), id, emoji)).ID

    def edit(self, client: str, to: str, id: str, text: str) -> str:
        return self.clients[client].neonize.edit_message(_jid(to), id, Message(conversation=text)).ID

    def pin(self, client: str, to: str, sender: str, id: str, seconds: int) -> str:
        return self.clients[client].neonize.pin_message(_jid(to), _jid(sender), id, seconds).ID

    def vote(self, client: str, event: str, options: list[str]) -> str:
        """Vote in a poll, given as the event it came with."""
        neonize, poll = self.clients[client].neonize, MessageEv.FromString(base64.b64decode(event))
        vote = neonize.build_poll_vote(poll.Info, options)
        return neonize.send_message(poll.Info.MessageSource.Chat, vote).ID

    def votes_of(self, client: str, event: str) -> list[str]:
        """What a vote says: hashes of options.  The library's own decrypt_poll_vote forgets to read the pointer."""
        vote, neonize = base64.b64decode(event), self.clients[client].neonize
        answer = gocode.DecryptPollVote(neonize.uuid, vote, len(vote))
        found = ReturnFunctionWithError.FromString(answer.contents.get_bytes())
        if found.Error:
            raise RuntimeError(found.Error)
        return [hash_.hex() for hash_ in found.PollVoteMessage.selectedOptions]

    def mark_read(self, client: str, chat: str, sender: str, ids: list[str], played: bool = False) -> None:
        kind = ReceiptType.PLAYED if played else ReceiptType.READ
        self.clients[client].neonize.mark_read(*ids, chat=_jid(chat), sender=_jid(sender), receipt=kind)

    def typing(self, client: str, to: str) -> None:
        state, media = ChatPresence.CHAT_PRESENCE_COMPOSING, ChatPresenceMedia.CHAT_PRESENCE_MEDIA_TEXT
        self.clients[client].neonize.send_chat_presence(_jid(to), state, media)

    def create_newsletter(self, client: str, name: str) -> str:
        return Jid2String(self.clients[client].neonize.create_newsletter(name, "about us", b"").ID)

    def follow_newsletter(self, client: str, newsletter: str) -> None:
        self.clients[client].neonize.follow_newsletter(_jid(newsletter))

    def newsletter_info(self, client: str, newsletter: str) -> Any:
        info = self.clients[client].neonize.get_newsletter_info(_jid(newsletter))
        return {"name": info.ThreadMeta.Name.Text, "invite": info.ThreadMeta.InviteCode}

    def newsletter_posts(self, client: str, newsletter: str) -> list[Any]:
        posts = self.clients[client].neonize.get_newsletter_messages(_jid(newsletter), 10, 0)
        return [{"server_id": p.MessageServerID, "text": extract_text(p.Message)} for p in posts]

    def newsletter_react(self, client: str, newsletter: str, server_id: int, emoji: str) -> None:
        self.clients[client].neonize.newsletter_send_reaction(_jid(newsletter), server_id, emoji, "")

    def join_by_invite(self, client: str, group: str, inviter: str, code: str, expiration: int) -> None:
        self.clients[client].neonize.join_group_with_invite(_jid(group), _jid(inviter), code, expiration)

    def set_timer(self, client: str, to: str, seconds: int) -> None:
        # In nanoseconds: of a timedelta the library makes milliseconds, and takes them for nanoseconds.
        self.clients[client].neonize.set_disappearing_timer(_jid(to), seconds * 10**9)

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
