"""What phones write, have got and confirm."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from google.protobuf.json_format import ParseDict, ParseError
from msgspec import Meta

from sandbox import groups
from sandbox.contents import shapes
from sandbox.errors import BadArguments, MessageNotFound, TooLarge
from sandbox.phone import Phone, Received
from sandbox.phone.composing import Composer, upload
from sandbox.phone.files import direct_path
from sandbox.phone.history import conversations, histories, made_up
from sandbox.phone.showing import in_memory, written_to
from sandbox.protos import Message
from sandbox.wire import GROUP, NEWSLETTER

from .base import Methods

MAX_TEXT = 65_536  # characters
MAX_INLINE = 16 << 20  # bytes of an attachment within a request or answer
MAX_PAGE = 1_000  # messages

Text = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]
Limit = Annotated[int, Meta(ge=1, le=MAX_PAGE)]


class MessageMethods(Methods):
    # --- writing ------------------------------------------------------------------------

    def send_text(self, phone: str, to: str, text: Text) -> dict[str, str]:
        """Write to a phone number, a JID or a group.  404 not_on_whatsapp."""
        return {"id": self._phone(phone).send(to, Message(conversation=text))}

    async def send_image(
        self, phone: str, to: str, data: str, caption: str = "", mimetype: str = "image/jpeg"
    ) -> dict[str, Any]:
        """`data` is base64.  404 not_on_whatsapp."""
        content = {"data": data, "mimetype": mimetype} | ({"caption": caption} if caption else {})
        return await self.send_message(phone, to, "image", content)

    async def send_message(
        self,
        phone: str,
        to: str,
        type: str,
        content: Any = None,
        reply_to: str = "",
        mentions: Sequence[str] = (),
        mention_all: bool = False,
        view_once: bool = False,
        forwarded: bool = False,
        expires_in: shapes.UInt32 = 0,
        audience: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        """Write a message of any type; contents in docs/sandbox.md.  404 not_on_whatsapp, message_not_found."""
        sender, shaped = self._phone(phone), shapes.shaped(type, {} if content is None else content)
        attributes = shapes.Attributes(reply_to, list(mentions), mention_all, view_once, forwarded, expires_in)
        target = sender.outbox.resolve(to)
        readers = None if audience is None else self._neighbours(sender.account, audience)
        composer, stored = Composer(sender, target), None
        files = shaped.items if type == "album" else [shaped] if type in shapes.FILES else []
        for file in files:
            if file.data is not None and not 0 < len(file.data) <= MAX_INLINE:
                raise BadArguments(f"data has 1 to {MAX_INLINE} bytes")
        uploads = [await asyncio.to_thread(upload, sender, target, getattr(f, "type", type), f) for f in files]
        if type in shapes.FILES:
            (stored,) = uploads
        message = composer.compose(type, shaped, attributes, stored)
        sent = sender.outbox.deliver(target, message, audience=readers, undecryptable=type == "undecryptable")
        if type != "album":
            return {"id": sent.id}
        made = [composer.album_item(sent, item, stored) for item, stored in zip(shaped.items, uploads, strict=True)]
        return {"id": sent.id, "items": [sender.outbox.deliver(target, item).id for item in made]}

    def send(self, phone: str, to: str, message: dict[str, Any], undecryptable: bool = False) -> dict[str, str]:
        """A protobuf Message in its JSON form, sent as it is.  404 not_on_whatsapp."""
        try:
            parsed = ParseDict(message, Message())
        except ParseError as e:
            raise BadArguments(f"message: {' '.join(str(e).split())}") from e
        return {"id": self._phone(phone).send(to, parsed, undecryptable=undecryptable)}

    def set_disappearing(self, phone: str, to: str, seconds: shapes.UInt32) -> None:
        """The timer of a chat; in a group it is a setting of the group."""
        sender = self._phone(phone)
        target = sender.outbox.resolve(to)
        if target.server == GROUP:
            groups.set_timer(self._network, sender.device, self._group(str(target)), seconds)
        elif target.server == NEWSLETTER:
            raise BadArguments("newsletters have no timer")
        else:
            sender.outbox.deliver(target, Composer(sender, target).disappearing(seconds))

    def history(
        self,
        phone: str,
        chats: dict[str, list[str | dict[str, Any]]] | int,
        messages: Annotated[int, Meta(ge=1)] = 20,
        chunk: Annotated[int, Meta(ge=1)] = 500,
        type: Literal["initial", "recent", "full"] = "recent",
    ) -> dict[str, int]:
        """Send past conversations to the account's linked clients: given ones, or so many made-up ones."""
        sender = self._phone(phone)
        past = made_up(sender, chats, messages) if isinstance(chats, int) else conversations(sender, chats)
        chunks = histories(past, chunk, type)
        for device in self._devices(phone, None):
            for history in chunks:
                sender.companions.send_history(device, history)
        return {"chats": len(past), "messages": sum(len(c.messages) for c in past), "chunks": len(chunks)}

    # --- looking ------------------------------------------------------------------------

    async def _page(self, phone: Phone, box: dict[int, Received], after: int, limit: int, raw: bool) -> dict[str, Any]:
        page = [m for seq, m in box.items() if seq > after][: limit + 1]
        more = len(page) > limit
        results = [await phone.showing.show(m, raw) for m in page[:limit]]
        return {"results": results, "next": page[limit - 1].seq if more else None}

    async def messages(self, phone: str, after: int = 0, limit: Limit = 100, raw: bool = False) -> dict[str, Any]:
        """What the phone has got, oldest first, from behind the seq `after`.  `next` is the `after` of the
        next page, or null at the end."""
        owner = self._phone(phone)
        return await self._page(owner, owner.inbox.received, after, limit, raw)

    async def sent(self, phone: str, after: int = 0, limit: Limit = 100, raw: bool = False) -> dict[str, Any]:
        """Likewise, what it wrote."""
        owner = self._phone(phone)
        return await self._page(owner, owner.inbox.sent, after, limit, raw)

    async def message(self, phone: str, id: str) -> dict[str, Any]:
        """One that it got or wrote, with the protobuf.  404 message_not_found."""
        return await self._phone(phone).showing.show(self._message(phone, id), raw=True)

    async def attachment(self, phone: str, id: str, path: str = "") -> dict[str, Any]:
        """The decrypted attachment of a message; in base64, or in a file.  404 message_not_found, 413 too_large."""
        owner, entry, data = self._phone(phone), self._message(phone, id), b""
        try:
            if path:
                found = await asyncio.to_thread(written_to, path, owner, entry)
            else:
                if ((await owner.showing.attachment(entry)) or {}).get("size", 0) > MAX_INLINE:
                    raise TooLarge(f"more than {MAX_INLINE} bytes go into a file")
                found, data = await asyncio.to_thread(in_memory, owner, entry)
        except (OSError, ValueError) as e:
            raise BadArguments(f"cannot write the file: {getattr(e, 'strerror', e)}") from e
        if found is None or found["status"] != "ok":
            raise MessageNotFound(f"the attachment is {found['status']}" if found else f"{id} has no attachment")
        return found | ({} if path else {"data": base64.b64encode(data).decode()})

    def media_gone(self, phone: str, id: str, status: Literal[404, 410] = 410) -> None:
        """Delete a message's attachment from the store.  404 message_not_found."""
        path = direct_path(self._message(phone, id).message)
        if not path:
            raise MessageNotFound(f"{id} has no attachment")
        self._network.media.forget(path, status)

    # --- receipts -----------------------------------------------------------------------

    def mark_read(self, phone: str, id: str) -> None:
        """Idempotent.  404 message_not_found."""
        self._phone(phone).mark_read(id)

    def mark_played(self, phone: str, id: str) -> None:
        """Idempotent.  404 message_not_found."""
        self._phone(phone).mark_played(id)

    def receipt(self, phone: str, id: str, type: str) -> None:
        """Any receipt for a message that the phone got.  404 message_not_found."""
        self._phone(phone).receipt(id, type)

    def receipts(self, phone: str) -> list[dict[str, str]]:
        """Receipts for what the phone itself sent, oldest first."""
        receipts = self._phone(phone).inbox.receipts.values()
        return [{"id": r.id, "type": r.type, "sender": str(r.sender)} for r in receipts]
