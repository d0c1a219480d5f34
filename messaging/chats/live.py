"""What a session worker does for chats: the live commands, and the writing of read marks. Loaded there only."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

from django.utils import timezone

from instances.holding import attachments, writer
from instances.holding.attachments import Held
from instances.whatsapp.failures import SendFailed
from instances.whatsapp.jids import Jid, parse
from messaging.chats.reading import ReadUpTo, read_up_to

_IDS_AT_ONCE = 100  # in one stanza


def read(held: Held, arguments: dict[str, Any]) -> None:
    """``{jid, lid, senders: {jid: [WhatsApp ids]}, up_to}``: tell the senders, then keep the mark."""
    at, place = timezone.now(), parse(arguments["lid"] or arguments["jid"])
    for sender, wa_ids in arguments["senders"].items():
        for start in range(0, len(wa_ids), _IDS_AT_ONCE):
            held.mark_read(place, parse(sender), wa_ids[start : start + _IDS_AT_ONCE], at)
    held.write(ReadUpTo(arguments["jid"], arguments["up_to"], at)).result()


def typing(held: Held, arguments: dict[str, Any]) -> None:
    """``{jid, state, seconds}``: show what we do, and after the seconds that we paused."""
    place = parse(arguments["jid"])
    held.chat_presence(place, arguments["state"])
    if arguments["seconds"]:
        ending = threading.Timer(arguments["seconds"], _pause, [held, place])
        ending.daemon = True
        ending.start()


def _pause(held: Held, place: Jid) -> None:
    with suppress(SendFailed):  # who went offline is not typing any more
        held.chat_presence(place, "paused")


attachments.commands.update(read=read, typing=typing)
writer.handlers[ReadUpTo] = read_up_to
