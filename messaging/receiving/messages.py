"""Writes what a number received, and what its owner wrote on the phone: a handler of the session worker's writer."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import transaction

from config import metrics
from instances.holding.writer import Item, Written
from instances.models import Instance
from instances.services import draft
from instances.whatsapp.news import Inbound
from messaging.chats import touched
from messaging.models import Message
from messaging.receiving import received
from messaging.selectors import message_data
from messaging.states import Direction, Origin, Status
from subscriptions import usage


def _storable(value: Any) -> Any:
    """The value without null characters, which anybody can send and PostgreSQL does not store."""
    if isinstance(value, dict):
        return {name: _storable(inner) for name, inner in value.items()}
    return value.replace("\x00", "\ufffd") if isinstance(value, str) else value


def _row(instance: Instance, news: Inbound) -> Message:
    return Message(
        organization_id=instance.organization_id,
        instance=instance,
        direction=Direction.OUTBOUND if news.from_me else Direction.INBOUND,
        status=Status.SENT if news.from_me else Status.RECEIVED,
        type=news.type,
        content=_storable(news.content),
        chat=news.chat,
        chat_lid=news.chat_lid,
        sender_phone=news.sender.phone,
        sender_lid=news.sender.lid,
        sender_name=_storable(news.sender.name)[:200],
        origin=Origin.PHONE if news.from_me else None,
        wa_id=news.wa_id,
        sent_at=news.sent_at,
    )


def inbound(items: list[Item], held: dict[str, Instance]) -> Written:
    """Each message once: what the ledger has already, by its WhatsApp id, is passed over."""
    seen: set[tuple[str, str | None]] = set()
    for instance_id in {item.instance_id for item in items}:
        wa_ids = [item.value.wa_id for item in items if item.instance_id == instance_id]
        rows = Message.objects.filter(instance_id=instance_id, wa_id__in=wa_ids)
        seen |= {(instance_id, wa_id) for wa_id in rows.values_list("wa_id", flat=True)}
    fresh: list[Message] = []
    for item in items:
        key = item.instance_id, item.value.wa_id
        if key not in seen:
            seen.add(key)
            fresh.append(_row(held[item.instance_id], item.value))
    Message.objects.bulk_create(fresh)
    touched(fresh)
    usage.add(
        (row.organization_id, row.instance.network, row.instance_id, row.type, Direction.INBOUND)
        for row in fresh
        if row.direction == Direction.INBOUND
    )
    for row in fresh:
        transaction.on_commit(partial(metrics.MESSAGES.inc, row.direction, row.type, row.status))
    types = {Status.RECEIVED: "message.received", Status.SENT: "message.sent"}
    drafts = [draft(row.instance, types[Status(row.status)], message_data(row, row.instance)) for row in fresh]
    drafts += [entry for handler in received for entry in handler(fresh)]
    return Written([None] * len(items), drafts)
