"""What is to be built. Free of the client library, so everybody may import it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from instances.whatsapp.files import UploadedFile
from instances.whatsapp.jids import GROUP, Jid


@dataclass(frozen=True, slots=True)
class Named:
    """A message that another one names: the quoted one, what a reaction or an edit is about, an item's album.

    ``author`` is who wrote it, None for the instance itself; ``file`` is its file if that is at hand.
    """

    wa_id: str
    chat: Jid
    author: Jid | None
    type: str
    content: Any
    own: Jid | None = None
    file: UploadedFile | None = None

    @property
    def participant(self) -> str:
        """Who wrote it, where the chat does not say so; else an empty text."""
        author = self.author
        return str(author) if author is not None and self.chat.server == GROUP else ""


@dataclass(frozen=True, slots=True)
class Outbound:
    """A message to be sent: ``type``, ``content`` and ``attributes`` as in the ledger.

    ``secret`` (32 bytes) is stored by the library together with the message's id before it is sent, which settles
    later whether it was. ``target`` is the message that a reaction, edit, revoke or pin names.
    """

    to: Jid
    type: str
    content: Any
    secret: bytes
    attributes: Mapping[str, Any] = field(default_factory=dict)
    file: UploadedFile | None = None
    thumbnail: bytes = b""  # JPEG, of a link preview
    quoted: Named | None = None
    target: Named | None = None
    album: Named | None = None
