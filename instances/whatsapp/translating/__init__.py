"""Translates what the client library reports into our own words (instances/whatsapp/news.py).

Free of the library itself. What strangers wrote is bounded here and never raises; what is broken beyond
reading becomes a message that says so, or nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

from instances.states import State
from instances.whatsapp.news import HistoryBlob, News, StateChange
from instances.whatsapp.translating.calls import noticed, offered, terminated
from instances.whatsapp.translating.messages import message, undecryptable
from instances.whatsapp.translating.receipts import contact_presence, receipt, typing
from instances.whatsapp.translating.states import banned, refused

KEEP_ALIVE_LOST, KEEP_ALIVE_BACK = 4, 5
KEEP_ALIVE = frozenset({KEEP_ALIVE_LOST, KEEP_ALIVE_BACK})
CONNECTED, STREAM_ERROR, HISTORY, MESSAGE, RECEIPT, TYPING, PRESENCE, UNDECRYPTABLE = 3, 11, 13, 17, 18, 19, 20, 44
CALL_OFFER, CALL_NOTICE, CALL_END = 36, 40, 42
# What is confirmed to WhatsApp, which does not repeat it.
FACTS = frozenset({HISTORY, MESSAGE, RECEIPT, UNDECRYPTABLE, CALL_OFFER, CALL_NOTICE, CALL_END})


def _history(raw: bytes) -> HistoryBlob:
    return HistoryBlob(zlib.compress(raw, 1))


_TRANSLATORS: dict[int, Callable[[bytes], News | None]] = {
    CONNECTED: lambda raw: StateChange(State.CONNECTED, "online"),
    6: lambda raw: StateChange(State.LOGGED_OUT, "unlinked"),
    7: lambda raw: StateChange(State.REPLACED, "used_elsewhere"),
    8: banned,
    9: refused,
    10: lambda raw: StateChange(State.OUTDATED, "client_outdated"),
    STREAM_ERROR: lambda raw: StateChange(State.RECONNECTING, "connection_lost", "stream error"),
    12: lambda raw: StateChange(State.RECONNECTING, "connection_lost"),
    HISTORY: _history,
    MESSAGE: message,
    RECEIPT: receipt,
    TYPING: typing,
    PRESENCE: contact_presence,
    UNDECRYPTABLE: undecryptable,
    CALL_OFFER: offered,
    CALL_NOTICE: noticed,
    CALL_END: terminated,
}
# The events of the connection itself, each a StateChange.
STATES = frozenset(_TRANSLATORS) - FACTS - {TYPING, PRESENCE}


def codes(*, history: bool, typing: bool) -> frozenset[int]:
    """The events to subscribe to. No others: each costs, and one that the library cannot encode ends the session."""
    wanted = {HISTORY: history, TYPING: typing}
    return KEEP_ALIVE | {code for code in _TRANSLATORS if wanted.get(code, True)}


def translate(code: int, raw: bytes) -> News | None:
    """Our word for an event, or None when it means nothing to us."""
    return _TRANSLATORS[code](raw)
