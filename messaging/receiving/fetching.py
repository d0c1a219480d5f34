"""Files of received messages: which are fetched, and when. They are downloaded by the number's session worker."""

from __future__ import annotations

from instances.models import Instance
from instances.whatsapp.files import RemoteFile
from media import inbound
from media.models import Media
from messaging.models import Message


def wanted(instance: Instance, row: Message, remote: RemoteFile) -> Media:
    """Remember the file of a received message, and have it fetched if the instance's policy says so.

    To be called in the transaction that writes the row, before the row is saved: sets its ``media``, and ``id``,
    ``mime_type``, ``size``, ``sha256``, ``filename`` and ``status`` of its content. One INSERT. What policy leaves
    out, and files of the history, stay ``pending`` and can be asked for later.
    """
    media = inbound.remember(instance=instance, remote=remote, fetch=not row.history)
    row.media = media
    row.content = {**row.content, **inbound.content_of(media)}
    return media
