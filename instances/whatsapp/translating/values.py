"""Values out of protobuf that strangers wrote: bounded, storable, never a surprise."""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime
from typing import Any

from config.timestamps import iso
from instances.whatsapp.jids import BROADCAST, LID, PHONE, InvalidJid, Jid, parse
from instances.whatsapp.news import Key, Person

LONGEST_TEXT = 65_536
_LONGEST_ID, _LONGEST_NAME = 80, 200
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def text(value: Any, limit: int = LONGEST_TEXT) -> str:
    """A string field: text that every database and JSON takes, at most ``limit`` characters.

    protobuf gives bytes where they are not UTF-8; null characters and lone surrogates become U+FFFD.
    """
    decoded = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    try:
        decoded[:limit].encode()
    except UnicodeEncodeError:
        decoded = decoded.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return decoded[:limit].replace("\x00", "\ufffd")


def wa_id(value: Any) -> str:
    """WhatsApp's id of a message; one too long to be kept becomes a digest of itself, so that none are mixed up."""
    found = text(value, 1_000)
    return found if len(found) <= _LONGEST_ID else hashlib.sha256(found.encode()).hexdigest()


def moment(seconds: int) -> datetime:
    """A Unix time in seconds, or in milliseconds as some events give it; what is out of range is bounded."""
    try:
        return min(max(datetime.fromtimestamp(seconds / 1000 if seconds > 10**11 else seconds, UTC), _FIRST), _LAST)
    except (OverflowError, ValueError, OSError):
        return _FIRST if seconds < 0 else _LAST


def moment_or_none(seconds: int) -> str | None:
    """The same as ISO text; None for none."""
    return iso(moment(seconds)) if seconds > 0 else None


def number(value: float, digits: int = 7) -> float:
    """A float that JSON takes."""
    return round(value, digits) if math.isfinite(value) else 0.0


def jid_of(message: Any) -> Jid:
    return Jid(text(message.User, 40), text(message.Server, 20), message.Device)


def jid_in(value: Any) -> Jid | None:
    """A JID out of a text, without its device; None for anything else."""
    try:
        return parse(text(value, 100)).bare
    except InvalidJid:
        return None


def person(jid: Jid | None, name: Any = "") -> Person | None:
    """Somebody by one of the two JIDs; None for what is no person's."""
    if jid is None or jid.server not in (PHONE, LID) or len(jid.user) > 20:
        return None
    return Person(jid.phone, str(jid.bare) if jid.server == LID else None, text(name, _LONGEST_NAME))


def both(jid: Jid, other: Jid, name: Any = "") -> Person:
    """Somebody by phone and LID, whichever of the two JIDs carries which."""
    known = {one.server: one.user[:20] for one in (other, jid) if one.user}
    lid = known.get(LID)
    phone = known.get(PHONE)
    if phone is None and lid is None:  # a channel is its own author
        return Person(None, str(jid.bare)[:60], text(name, _LONGEST_NAME))
    return Person(phone, f"{lid}@{LID}" if lid else None, text(name, _LONGEST_NAME))


def is_direct(jid: Jid) -> bool:
    return jid.server in (PHONE, LID)


def is_list(jid: Jid) -> bool:
    """A broadcast list: to those who receive it, it is a message of the sender's chat."""
    return jid.server == BROADCAST and jid.user != "status"


def key_of(key: Any, chat: Jid, sender: Person, from_me: bool) -> Key | None:
    """The message that a key in the content of ``sender`` (or of ourselves: ``from_me``) points to.

    In a key ``fromMe`` is seen from the writer: it means the writer's own message.
    """
    identifier = wa_id(key.ID)
    if not identifier:
        return None
    named = person(jid_in(key.participant))
    if key.fromMe:
        return Key(identifier, sender, from_me)
    if named is None and is_direct(chat):
        return Key(identifier, None, not from_me)
    return Key(identifier, named)
