"""Hands the files of messages to WhatsApp's media servers."""

from __future__ import annotations

from instances.holding.attachments import Held
from instances.whatsapp.files import NotSendable, UploadedFile
from messaging.models import Message


def uploaded(held: Held, row: Message) -> UploadedFile:
    """The file of a message on WhatsApp's media servers. Raises NotSendable."""
    raise NotSendable("media_unavailable", "The file cannot be sent.")
