"""Past conversations, as a phone gives them to a newly linked client.

Protocol facts
--------------
* Chunks are numbered and say how far the whole is (0 to 100); a conversation may go on in a later one.
* Conversations are named by LID; the pairs of LIDs and phone numbers, and push names, come beside them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from sandbox.contents import shapes
from sandbox.errors import BadArguments
from sandbox.model import lid_of, now
from sandbox.protos import HistorySync
from sandbox.wire import GROUP, PN, Jid

from .composing import Composer, upload
from .files import Stored
from .outbox import new_message_id
from .records import Received

if TYPE_CHECKING:
    from .phone import Phone

_TYPES = {
    "initial": HistorySync.INITIAL_BOOTSTRAP,
    "recent": HistorySync.RECENT,
    "full": HistorySync.FULL,
}


class Past(shapes.Shape, kw_only=True):
    """One message of a past conversation."""

    type: str
    content: Any = {}
    from_me: bool = False
    sender: str = ""  # phone number, in a group
    timestamp: int = 0
    id: str = ""


class Conversation(msgspec.Struct):
    jid: Jid
    number: str  # "" of a group
    name: str
    messages: list[tuple[Received, str]] = []  # with the author's push name


class _Writer:
    """Makes messages of a past conversation; attachments are uploaded once for each kind."""

    def __init__(self, phone: Phone) -> None:
        self._phone, self._stored = phone, dict[tuple[str, Any], Stored]()

    def write(self, chat: Conversation, item: Past, past: dict[str, Received], t: int) -> None:
        me, other = self._phone.account, chat.name
        sender = me.lid if item.from_me else chat.jid
        if chat.jid.server == GROUP and not item.from_me:
            author = self._phone.network.accounts.get(item.sender.lstrip("+"))
            if author is None:
                raise BadArguments("a message in a group has a sender")
            sender, other = author.lid, author.name
        content = shapes.shaped(item.type, item.content)
        stored = self._store(item.type, content) if item.type in shapes.FILES else None
        message = Composer(self._phone, chat.jid, past).compose(item.type, content, shapes.Attributes(), stored)
        id_ = item.id or new_message_id()
        entry = Received(0, id_, chat.jid, sender, item.from_me, item.timestamp or t, message.SerializeToString())
        past[id_] = entry
        chat.messages.append((entry, me.name if item.from_me else other))

    def _store(self, kind: str, file: shapes.File) -> Stored:
        key = (kind, file.length)
        if file.length is None or key not in self._stored:
            self._stored[key] = upload(self._phone, self._phone.account.lid, kind, file)
        return self._stored[key]


def conversations(phone: Phone, chats: dict[str, list[str | dict[str, Any]]]) -> list[Conversation]:
    """Given ones: a phone number or group -> texts, or {"type", "content", …}.  Raises BadArguments, NotOnWhatsApp."""
    writer, out = _Writer(phone), []
    for to, items in chats.items():
        jid = phone.outbox.resolve(to)
        group, account = phone.network.group(jid, phone.account.realm), phone.network.account(jid, phone.account.realm)
        chat = Conversation(
            jid, account.number if account else "", group.subject if group else account.name if account else ""
        )
        past: dict[str, Received] = {}
        for index, item in enumerate(items):
            plain = {"type": "text", "content": {"body": item}} if isinstance(item, str) else item
            try:
                checked = msgspec.convert(plain, Past)
            except msgspec.ValidationError as e:
                raise BadArguments(f"chats: {e}") from e
            writer.write(chat, checked, past, now() - len(items) + index)
        out.append(chat)
    return out


_CARD = "BEGIN:VCARD\nVERSION:3.0\nFN:Somebody\nTEL;type=CELL;waid=491590000000:+49 159 0000000\nEND:VCARD"


def _kinds(number: int, last: str) -> list[dict[str, Any]]:
    """One message of each kind; those about another are about the one before."""
    about = {"message_id": last}
    return [
        {"type": "text", "content": {"body": f"Message {number}: how are you today?"}},
        {"type": "reaction", "content": {**about, "emoji": "👍"}},
        {"type": "image", "content": {"bytes": 2_000, "caption": f"Picture {number}"}},
        {"type": "text", "content": {"body": f"Message {number}: fine, thank you."}},
        {"type": "edit", "content": {**about, "body": f"Message {number}: fine, thanks."}},
        {"type": "video", "content": {"bytes": 3_000, "seconds": 4}},
        {"type": "voice", "content": {"bytes": 1_000, "seconds": 2}},
        {"type": "document", "content": {"bytes": 1_500, "filename": f"invoice-{number}.pdf"}},
        {"type": "sticker", "content": {"bytes": 500}},
        {"type": "location", "content": {"latitude": 52.5, "longitude": 13.4, "name": "Berlin"}},
        {"type": "live_location", "content": {"latitude": 48.1, "longitude": 11.6, "sequence": 1}},
        {"type": "contacts", "content": [{"name": "Somebody", "vcard": _CARD}]},
        {"type": "poll", "content": {"question": f"Lunch {number}?", "options": ["Pizza", "Salad"]}},
        {"type": "poll_vote", "content": {**about, "options": ["Pizza"]}},
        {"type": "event", "content": {"name": f"Meeting {number}", "starts_at": now() + 86_400}},
        {"type": "text", "content": {"body": f"Message {number}: never mind."}},
        {"type": "revoke", "content": about},
    ]


def made_up(phone: Phone, chats: int, messages: int) -> list[Conversation]:
    """So many conversations with people who do not exist, of so many messages each."""
    writer, out = _Writer(phone), []
    for index in range(chats):
        number = f"49159{index:08d}"
        chat = Conversation(lid_of(number), number, f"Customer {index}")
        past: dict[str, Received] = {}
        last = ""
        for serial in range(messages):
            kinds = _kinds(serial, last)
            item = msgspec.convert(kinds[serial % len(kinds)], Past)
            item.from_me, item.id = serial % 3 == 0, new_message_id()
            writer.write(chat, item, past, now() - 60 * (messages - serial))
            last = item.id
        out.append(chat)
    return out


def _web_message(info: Any, entry: Received, name: str) -> None:
    info.key.remoteJID, info.key.fromMe, info.key.ID = str(entry.chat), entry.from_me, entry.id
    if entry.chat.server == GROUP:
        info.key.participant = info.participant = str(entry.sender)
    info.message.ParseFromString(entry.message)
    info.messageTimestamp, info.pushName = entry.t, name
    info.status = info.READ if entry.from_me else info.DELIVERY_ACK
    if info.message.messageContextInfo.messageSecret:
        info.messageSecret = info.message.messageContextInfo.messageSecret


def histories(past: list[Conversation], chunk: int, kind: str) -> list[Any]:
    """Chunks (HistorySync) of at most `chunk` messages."""
    out: list[Any] = []
    room = 0
    for chat in past:
        for start in range(0, max(len(chat.messages), 1), chunk):
            rest = chat.messages[start : start + chunk]
            if len(rest) > room:
                out.append(HistorySync(syncType=_TYPES[kind], chunkOrder=len(out) + 1))
                room = chunk
            room -= len(rest)
            _add(out[-1], chat, rest, start)
    for index, history in enumerate(out, 1):
        history.progress = 100 * index // len(out)
    return out


def _add(history: Any, chat: Conversation, messages: list[tuple[Received, str]], start: int) -> None:
    conversation = history.conversations.add(ID=str(chat.jid), name=chat.name)
    conversation.conversationTimestamp = messages[-1][0].t if messages else int(time.time())
    if chat.number:
        history.phoneNumberToLidMappings.add(pnJID=str(Jid(chat.number, PN)), lidJID=str(chat.jid))
        history.pushnames.add(ID=str(chat.jid), pushname=chat.name)
        conversation.pnJID, conversation.lidJID = str(Jid(chat.number, PN)), str(chat.jid)
    # The newest come first, as the apps have it.
    for index, (entry, name) in reversed(list(enumerate(messages, start))):
        _web_message(conversation.messages.add(msgOrderID=index).message, entry, name)
