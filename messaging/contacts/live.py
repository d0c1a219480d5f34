"""What a session worker asks WhatsApp about people, by live command, and what it hears of them. Loaded there only."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Collection
from typing import Any
from weakref import WeakKeyDictionary

from django.utils import timezone

from config.api.problems import Problem
from instances.commands import offline
from instances.holding import attachments, writer
from instances.holding.attachments import Held
from instances.whatsapp.jids import LID, PHONE, Jid, parse
from instances.whatsapp.news import ContactPresence, News
from messaging.contacts.presence import last_seen, presence
from messaging.sending import directory

_PRESENCE_SECONDS = 3.0  # WhatsApp tells at once, or not at all
_PICTURE_SECONDS = 300.0  # an address lasts for days, the picture may change
_MOST_KEPT = 1_000


class Watch:
    """What one number has heard of the people it asked about, since it is connected."""

    def __init__(self, held: Held) -> None:
        self._told = threading.Condition()
        self._presences: OrderedDict[str, tuple[float, ContactPresence]] = OrderedDict()
        self._pictures: OrderedDict[tuple[str, bool], tuple[float, dict[str, Any] | None]] = OrderedDict()
        _watches[held] = self

    def offline(self) -> None:
        self._presences.clear()
        self._pictures.clear()

    def online(self) -> None:
        """Nothing is watched until somebody asks."""

    def seen(self, news: News) -> None:
        if isinstance(news, ContactPresence):
            with self._told:
                _put(self._presences, news.who.jid, (time.monotonic(), news))
                self._told.notify_all()

    def wake(self) -> None:
        """There is nothing to do."""

    def close(self, deadline: float) -> None:
        """There is nothing to finish."""

    def presence(self, jids: Collection[str], since: float) -> ContactPresence | None:
        """What is heard of somebody from a moment (monotonic clock) on; waits for it for some seconds."""

        def heard() -> ContactPresence | None:
            found = (self._presences.get(jid) for jid in jids)
            return next((news for at, news in filter(None, found) if at >= since), None)

        with self._told:
            self._told.wait_for(lambda: heard() is not None, _PRESENCE_SECONDS)
            return heard()

    def picture(self, held: Held, jid: str, preview: bool) -> dict[str, Any] | None:
        """Asks WhatsApp once in _PICTURE_SECONDS. Raises SendFailed."""
        known = self._pictures.get((jid, preview))
        if known is None or known[0] < time.monotonic() - _PICTURE_SECONDS:
            found = held.account.picture(parse(jid), preview=preview)
            known = time.monotonic(), found._asdict() if found else None
            _put(self._pictures, (jid, preview), known)
        return known[1]


_watches: WeakKeyDictionary[Held, Watch] = WeakKeyDictionary()


def _watch(held: Held) -> Watch:
    if (found := _watches.get(held)) is None:  # it goes online only to be logged out
        raise offline()
    return found


def _put(kept: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    kept[key] = value
    while len(kept) > _MOST_KEPT:
        kept.popitem(last=False)


def check_numbers(held: Held, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """``{phones}``: each as ``{phone, on_whatsapp, lid, business_name}``; WhatsApp may leave some out."""
    return [answer._asdict() for answer in directory.look_up(held, arguments["phones"])]


def contact_info(held: Held, arguments: dict[str, Any]) -> dict[str, Any]:
    """``{jid}``: ``{lid, about, picture_id, devices, business_name}``. Raises Problem ``not_on_whatsapp``."""
    jid = parse(arguments["jid"])
    lid = lid_of(held, jid)
    found = held.account.user_info(jid)
    if not found.devices:
        raise Problem("not_on_whatsapp")
    return found._asdict() | {"lid": lid}


def lid_of(held: Held, jid: Jid) -> str | None:
    """The LID of a person, who is asked for by the phone; None for one without. Raises Problem ``not_on_whatsapp``."""
    if jid.phone is None:
        return str(jid)
    answers = directory.look_up(held, [jid.phone])
    if any(not answer.on_whatsapp for answer in answers):
        raise Problem("not_on_whatsapp")
    return next((answer.lid for answer in answers), None)


def contact_picture(held: Held, arguments: dict[str, Any]) -> dict[str, Any] | None:
    """``{jid, preview}``: ``{id, url}``, or None."""
    return _watch(held).picture(held, arguments["jid"], arguments["preview"])


def contact_presence(held: Held, arguments: dict[str, Any]) -> dict[str, Any] | None:
    """``{jids}``, the best first: ``{available, last_seen}`` (Unix seconds), or None if WhatsApp does not tell."""
    since = time.monotonic()
    held.account.watch_presence(parse(arguments["jids"][0]))
    heard = _watch(held).presence(arguments["jids"], since)
    if heard is None:
        return None
    seen = last_seen(heard, timezone.now())
    return {"available": heard.available, "last_seen": seen.timestamp() if seen else None}


def resolve_link(held: Held, arguments: dict[str, Any]) -> dict[str, Any] | None:
    """``{link}``: ``{jid, name}``, or None if it leads nowhere."""
    found = held.account.resolve_link(arguments["link"])
    if found is None or found.jid.server not in (PHONE, LID):
        return None
    return {"jid": str(found.jid.bare), "name": found.name}


attachments.attach.append(Watch)
attachments.commands.update(
    check_numbers=check_numbers,
    contact_info=contact_info,
    contact_picture=contact_picture,
    contact_presence=contact_presence,
    resolve_link=resolve_link,
)
writer.handlers[ContactPresence] = presence
