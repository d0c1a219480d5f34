"""Writes what a number received, and what its owner wrote on the phone: handlers of the session worker's writer."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import transaction

from config import metrics
from config.ids import id_at
from instances import settings
from instances.holding.writer import Item, Written
from instances.models import Instance
from instances.services import draft
from instances.whatsapp.jids import BROADCAST, GROUP, NEWSLETTER
from instances.whatsapp.news import Inbound, Key
from messaging.chats import touched
from messaging.finding.searchable import text_of
from messaging.models import Message, RawMessage
from messaging.receiving import changes, fetching, people, received
from messaging.receiving.changes import Change
from messaging.receiving.receipts import came_early
from messaging.selectors import message_data, person
from messaging.states import CHANGES, Direction, Origin, Status
from subscriptions import usage
from webhooks.events import Draft

_LONGEST_RAW = 262_144  # bytes, compressed; what is larger is not kept
_REPLACED = ("type", "content", "attributes", "text", "media", "secret", "sent_at", "sender_name")


@dataclass(slots=True)
class _Arrival:
    """A message to be written: a new row, or one that stood for it until it could be decrypted."""

    row: Message
    news: Inbound
    instance: Instance
    fresh: bool


def _row(instance: Instance, news: Inbound) -> Message:
    row = Message(
        organization_id=instance.organization_id,
        instance=instance,
        direction=Direction.OUTBOUND if news.from_me else Direction.INBOUND,
        status=(news.status or Status.SENT) if news.from_me else Status.RECEIVED,
        chat=news.chat,
        chat_lid=news.chat_lid,
        sender_phone=news.sender.phone,
        sender_lid=news.sender.lid,
        origin=Origin.PHONE if news.from_me else None,
        wa_id=news.wa_id,
        history=news.history,
    )
    if news.history:  # it stands where it would stand if we had been there
        row.created_at = min(news.sent_at, row.created_at)
        row.id = id_at(row.created_at, "msg")
    _fill(row, news)
    return row


def _fill(row: Message, news: Inbound) -> None:
    row.type, row.content, row.attributes = news.type, news.content, dict(news.attributes)
    row.text = "" if news.type in CHANGES else text_of(news.type, news.content)
    row.sender_name, row.sent_at = news.sender.name, news.sent_at
    if news.secret:
        row.secret = news.secret
    if news.target:
        row.content = {"message_id": None, "wa_id": news.target.wa_id, **news.content}


def inbound(items: list[Item], held: dict[str, Instance]) -> Written:
    """Each message once: what the ledger has already, by its WhatsApp id, is passed over.

    Only a row of a message that could not be decrypted is replaced by what comes later under its id.
    """
    drafts = write([(held[item.instance_id], item.value) for item in items])
    return Written([None] * len(items), drafts)


def write(news: Sequence[tuple[Instance, Inbound]]) -> list[Draft]:
    """Write messages in a transaction with their instances locked; returns the events, of history too."""
    news = [(instance, one) for instance, one in news if _wanted(settings.of(instance).receive, one)]
    known = _known(news)
    arrivals: list[_Arrival] = []
    for instance, one in news:
        existing = known.get((instance.id, one.wa_id))
        if existing is None:
            row = known[instance.id, one.wa_id] = _row(instance, one)
            arrivals.append(_Arrival(row, one, instance, True))
        elif existing.type == "undecryptable" != one.type and existing.direction == _direction(one):
            _fill(existing, one)
            arrivals.append(_Arrival(existing, one, instance, False))
    for arrival in arrivals:
        _refer(arrival, known)
        if arrival.news.file is not None:
            fetching.wanted(arrival.instance, arrival.row, arrival.news.file)
    _save(arrivals)
    return _told(arrivals, known)


def _wanted(receive: settings.Receive, news: Inbound) -> bool:
    """Whether the instance's settings have it kept. What the owner wrote is kept like what others wrote."""
    by_server = {GROUP: receive.groups, BROADCAST: receive.status, NEWSLETTER: receive.channels}
    return by_server.get(news.chat.rpartition("@")[2], True)


def _direction(news: Inbound) -> str:
    return Direction.OUTBOUND if news.from_me else Direction.INBOUND


def _known(news: Sequence[tuple[Instance, Inbound]]) -> dict[tuple[str, str], Message]:
    """The rows that messages are or refer to, by instance and WhatsApp id."""
    wanted: set[tuple[str, str]] = set()
    for instance, one in news:
        wanted.add((instance.id, one.wa_id))
        wanted.update((instance.id, key.wa_id) for key in (one.target, one.quoted, one.album) if key)
    instances = {instance.id: instance for instance, _ in news}
    rows = Message.objects.filter(instance_id__in=instances, wa_id__in={wa_id for _, wa_id in wanted})
    found: dict[tuple[str, str], Message] = {}
    for row in rows.order_by("direction"):  # of two with one id our own counts: its secret is ours
        row.instance = instances[row.instance_id]
        found[row.instance_id, row.wa_id or ""] = row
    return found


def _refer(arrival: _Arrival, known: dict[tuple[str, str], Message]) -> None:
    """Name the answered message and the album by our ids, where the ledger has them."""
    row, news = arrival.row, arrival.news

    def ours(key: Key) -> str | None:
        found = known.get((arrival.instance.id, key.wa_id))
        return found.pk if found else None

    if key := news.quoted:
        context: dict[str, Any] = {"message_id": ours(key), "wa_id": key.wa_id}
        if key.author:
            context["from"] = person(key.author.phone, key.author.lid)
        row.attributes["context"] = context
    if news.album and (album := ours(news.album)):
        row.attributes["album"] = album


def _save(arrivals: Sequence[_Arrival]) -> None:
    fresh = [one.row for one in arrivals if one.fresh]
    Message.objects.bulk_create(fresh)
    for one in arrivals:
        if not one.fresh:
            one.row.save(update_fields=_REPLACED)
    people.met((one.instance.id, one.news.sender) for one in arrivals if not one.news.from_me)
    touched([one.row for one in arrivals if one.fresh and one.row.type not in CHANGES])
    _keep_raw(arrivals)
    counted = [row for row in fresh if not row.history]
    usage.add(
        (row.organization_id, row.instance.network, row.instance_id, row.type, Direction.INBOUND)
        for row in counted
        if row.direction == Direction.INBOUND
    )
    for row in counted:
        transaction.on_commit(partial(metrics.MESSAGES.inc, row.direction, row.type, row.status))


def _keep_raw(arrivals: Iterable[_Arrival]) -> None:
    rows = []
    for one in arrivals:
        wanted = one.news.raw and settings.of(one.instance).receive.raw
        data = zlib.compress(one.news.raw, 1) if wanted else b""
        if data and len(data) <= _LONGEST_RAW:
            rows.append(RawMessage(message=one.row, data=data))
    if rows:
        RawMessage.objects.bulk_create(rows)


def _told(arrivals: Sequence[_Arrival], known: dict[tuple[str, str], Message]) -> list[Draft]:
    """Apply what changes other messages, and what had come before these; returns the events in order."""
    drafts: list[Draft] = []
    for one in arrivals:
        if (target := one.news.target) is None:
            drafts.append(_event(one.row, one.instance))
        else:
            change = Change(one.row, one.instance, one.news.sealed)
            drafts += changes.apply(change, known.get((one.instance.id, target.wa_id)))
    own = [(one.row, one.instance) for one in arrivals if one.row.direction == Direction.OUTBOUND and one.fresh]
    drafts += came_early(own)
    drafts += changes.arrived((one.row, one.instance) for one in arrivals if one.news.target is None)
    new = [one.row for one in arrivals if not one.row.history and one.row.type != "undecryptable"]
    return drafts + [entry for handler in received for entry in handler(new)]


def _event(row: Message, instance: Instance) -> Draft:
    received = row.direction == Direction.INBOUND
    return draft(instance, "message.received" if received else "message.sent", message_data(row, instance))


def typing(items: list[Item], held: dict[str, Instance]) -> Written:
    """Somebody writes: told, and not kept."""
    drafts = []
    for item in items:
        news, instance = item.value, held[item.instance_id]
        direct = news.chat_lid is not None or news.sender.jid == news.chat
        data: dict[str, Any] = {
            "chat": person(news.sender.phone, news.sender.lid) if direct else _group(news.chat),
            "from": person(news.sender.phone, news.sender.lid),
            "state": news.state,
        }
        drafts.append(draft(instance, "chat.presence", data))
    return Written([None] * len(items), drafts)


def _group(jid: str) -> dict[str, Any]:
    return {"id": jid, "phone": None, "lid": None, "name": None}
