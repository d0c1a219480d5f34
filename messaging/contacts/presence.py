"""Who of the watched people is online: kept with the contact, and told."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils import timezone

from config.timestamps import iso
from instances.holding.writer import Item, Written
from instances.models import Instance
from instances.services import draft
from instances.whatsapp.news import ContactPresence
from messaging.models import Contact
from messaging.selectors import person


def presence(items: list[Item], held: dict[str, Instance]) -> Written:
    """The writer's handler of ContactPresence; of who is no contact (any more) nothing is kept or told."""
    drafts = []
    for item in items:
        news: ContactPresence = item.value
        same = Q(phone=news.who.phone, phone__isnull=False) | Q(lid=news.who.lid, lid__isnull=False)
        contact = Contact.objects.filter(same, instance_id=item.instance_id).first()
        if contact is None:
            continue
        contact.available, contact.presence_at = news.available, timezone.now()
        contact.last_seen_at = last_seen(news, contact.presence_at) or contact.last_seen_at
        contact.save(update_fields=["available", "presence_at", "last_seen_at"])
        drafts.append(draft(held[item.instance_id], "contact.presence", presence_data(contact)))
    return Written([None] * len(items), drafts)


def last_seen(news: ContactPresence, at: datetime) -> datetime | None:
    """When somebody was last online, by what was told at a moment; None if it was not said."""
    return at if news.available else news.last_seen


def presence_data(contact: Contact) -> dict[str, Any]:
    """``presence`` is None as long as WhatsApp has told nothing; ``at`` says when it told."""
    words = {True: "available", False: "unavailable", None: None}
    return {
        "contact": person(contact.phone, contact.lid, contact.name),
        "presence": words[contact.available],
        "last_seen_at": iso(contact.last_seen_at),
        "at": iso(contact.presence_at),
    }
