"""A phone's messages as the control API shows them."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import MessageToDict

from sandbox.contents import describe
from sandbox.contents.kinds import MEDIA
from sandbox.model import MAX_REMEMBERED
from sandbox.protos import Message

from .files import fetch
from .records import Received

if TYPE_CHECKING:
    from .phone import Phone


class Showing:
    def __init__(self, phone: Phone) -> None:
        self._phone = phone
        self._checked: OrderedDict[int, dict[str, Any] | None] = OrderedDict()  # by seq

    async def attachment(self, entry: Received) -> dict[str, Any] | None:
        """What the phone finds when it downloads the attachment; None if there is none.  It does so once."""
        if entry.seq not in self._checked:
            found = await asyncio.to_thread(fetch, self._phone.network.media, entry.message, lambda piece: None)
            if found and found["status"] == "missing":
                return found  # it may come yet
            self._checked[entry.seq] = found
            if len(self._checked) > MAX_REMEMBERED:
                self._checked.popitem(last=False)
        return self._checked[entry.seq]

    async def show(self, entry: Received, raw: bool) -> dict[str, Any]:
        """Everything about a message; with the protobuf in its JSON form if `raw`."""
        message = Message.FromString(entry.message)
        shown = self._envelope(entry) | describe(message)
        if entry.edited:
            new = describe(Message.FromString(entry.edited))
            kind = shown["type"]
            shown |= {"edited": True, "text": new["text"]}
            shown |= {kind: shown[kind] | new.get(kind, {})} if isinstance(shown.get(kind), dict) else {}
        if shown["type"] == "poll_vote":
            shown["poll_vote"]["options"] = entry.decrypted
        elif shown["type"] == "event_response":
            shown["event_response"]["response"] = next(iter(entry.decrypted), None)
        if shown["type"] in MEDIA.values() and (attachment := await self.attachment(entry)):
            shown["attachment"] = attachment
        if raw:
            shown["message"] = MessageToDict(message, preserving_proto_field_name=True)
        return shown

    def _envelope(self, entry: Received) -> dict[str, Any]:
        author = self._phone.inbox.author(entry)
        shown = {
            "id": entry.id,
            "seq": entry.seq,
            "from": author.number if author else None,
            "chat": str(entry.chat),
            "sender": str(entry.sender),
            "sender_name": author.name if author else "",
            "from_me": entry.from_me,
            "read": entry.read,
            "timestamp": entry.t,
        }
        effects = ("revoked", "pinned", "reactions", "votes", "responses", "server_id")
        return shown | {name: value for name in effects if (value := getattr(entry, name))}


def written_to(path: str, phone: Phone, entry: Received) -> dict[str, Any] | None:
    """Download and decrypt an attachment into a file; call it from a thread.  Raises OSError."""
    with open(path, "wb") as file:
        return fetch(phone.network.media, entry.message, file.write)


def in_memory(phone: Phone, entry: Received) -> tuple[dict[str, Any] | None, bytes]:
    """Likewise, for small ones."""
    pieces: list[bytes] = []
    found = fetch(phone.network.media, entry.message, pieces.append)
    return found, b"".join(pieces)
