from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from django.apps import apps
from django.db.models import Model, Q, QuerySet
from django.utils import timezone

from config.timestamps import iso
from instances.models import Instance
from instances.whatsapp.jids import LID, PHONE, Jid
from messaging.calls.selectors import call_data
from messaging.chats.selectors import chat_data, exported
from messaging.contacts import exporting
from messaging.models import Call, Chat, Contact, Erasure, Message
from messaging.selectors import person as person_data
from messaging.states import Direction

_STEP = 500
_YES_LASTS, _NO_LASTS = timedelta(days=30), timedelta(days=1)


class Somebody(NamedTuple):
    """A person as an instance knows them; phone and LID as far as they are known, at least one of them."""

    instance: Instance
    phone: str | None
    lid: str | None

    @property
    def jids(self) -> list[str]:
        return [jid for jid in (f"{self.phone}@{PHONE}" if self.phone else None, self.lid) if jid]

    @property
    def messages(self) -> QuerySet[Message]:
        """Those of the chat with them."""
        return Message.objects.filter(instance=self.instance, chat__in=self.jids)

    @property
    def heard(self) -> QuerySet[Message]:
        """Everything that the instance received from anybody, but for the chat with them."""
        received = Message.objects.filter(instance=self.instance, direction=Direction.INBOUND)
        return received.exclude(chat__in=self.jids)

    @property
    def wrote(self) -> Q:
        """Of what was heard, what they wrote: in groups and elsewhere. No index finds it."""
        by_phone = Q(sender_phone=self.phone, sender_phone__isnull=False)
        return by_phone | Q(sender_lid=self.lid, sender_lid__isnull=False)

    @property
    def chats(self) -> QuerySet[Chat]:
        return Chat.objects.filter(instance=self.instance, jid__in=self.jids)

    @property
    def contacts(self) -> QuerySet[Contact]:
        return Contact.objects.filter(self._same(), instance=self.instance)

    @property
    def calls(self) -> QuerySet[Call]:
        return Call.objects.filter(self._same(), instance=self.instance)

    def acts(self) -> Iterator[tuple[str, QuerySet[Any]]]:
        """What they did to messages of others, such as reactions: the kind of the rows, and the rows."""
        for model in _by_person():
            yield (
                model._meta.model_name or "",
                model._default_manager.filter(self._same(), message__instance=self.instance),
            )

    def _same(self) -> Q:
        return Q(phone=self.phone, phone__isnull=False) | Q(lid=self.lid, lid__isnull=False)


def _by_person() -> list[type[Model]]:
    """The models whose rows say what a person did to a message."""
    wanted = {"message", "phone", "lid"}
    models = apps.get_app_config("messaging").get_models()
    return [model for model in models if wanted <= {field.name for field in model._meta.get_fields()}]


def somebody(instance: Instance, jid: Jid) -> Somebody:
    """The person behind a phone's JID or an LID, with the other of the two where the instance knows it."""
    phone, lid = (jid.user, None) if jid.server == PHONE else (None, str(jid))
    known = Somebody(instance, phone, lid)
    for contact in known.contacts:
        phone, lid = phone or contact.phone, lid or contact.lid
    for chat in Chat.objects.filter(Q(jid__in=known.jids) | Q(lid=lid, lid__isnull=False), instance=instance):
        user, _, server = chat.jid.partition("@")
        phone = phone or (user if server == PHONE else None)
        lid = lid or chat.lid
    return Somebody(instance, phone, lid)


def is_person(jid: Jid) -> bool:
    return jid.server in (PHONE, LID)


def everything(person: Somebody) -> Iterator[dict[str, Any]]:
    """All that is kept of a person, as ``{"kind", "data"}``: contact, chat, messages, what they did elsewhere."""
    for contact in person.contacts:
        last_seen = {"last_seen_at": iso(contact.last_seen_at), "presence_at": iso(contact.presence_at)}
        yield {"kind": "contact", "data": contact_data(contact) | last_seen}
    for chat in person.chats.select_related("instance"):
        yield {"kind": "chat", "data": chat_data(chat)}
    for call in person.calls:
        yield {"kind": "call", "data": call_data(call)}
    for rows in (person.messages, person.heard.filter(person.wrote)):
        for message in exported(rows):
            yield {"kind": "message", "data": message}
    for kind, acts in person.acts():
        for row in acts.order_by("pk").iterator(chunk_size=_STEP):
            columns = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
            yield {"kind": kind, "data": columns}
    for handler in exporting:
        yield from handler(person)


def fresh() -> Q:
    """The contacts for whom it is still believed whether they are on WhatsApp."""
    now = timezone.now()
    return Q(on_whatsapp=True, checked_at__gt=now - _YES_LASTS) | Q(on_whatsapp=False, checked_at__gt=now - _NO_LASTS)


def listed(instance: Instance, words: str = "") -> QuerySet[Contact]:
    """The people whom an instance knows; those with these words in their name, or these digits in their number."""
    rows = Contact.objects.filter(instance=instance)
    if not words:
        return rows
    digits = "".join(letter for letter in words if letter.isdecimal())
    by_number = Q(phone__contains=digits) if digits and not any(map(str.isalpha, words)) else Q()
    return rows.filter(Q(name__icontains=words) | Q(business_name__icontains=words) | by_number)


def contact_data(contact: Contact) -> dict[str, Any]:
    return person_data(contact.phone, contact.lid, contact.name) | {
        "business_name": contact.business_name or None,
        "on_whatsapp": contact.on_whatsapp,
        "checked_at": iso(contact.checked_at),
    }


def people(instance: Instance, jids: Sequence[str]) -> list[dict[str, Any]]:
    """The people behind the JIDs of phones and LIDs, in order, as every payload names them."""
    phones = {jid: jid.partition("@")[0] for jid in jids if jid.endswith(f"@{PHONE}")}
    rows = Contact.objects.filter(Q(phone__in=phones.values()) | Q(lid__in=jids), instance=instance)
    known = {name: row for row in rows for name in (row.lid, f"{row.phone}@{PHONE}")}
    unknown = Contact()
    found = []
    for jid in jids:
        row = known.get(jid, unknown)
        lid = jid if jid.endswith(f"@{LID}") else None
        found.append(person_data(row.phone or phones.get(jid), row.lid or lid, row.name))
    return found


def erasure_data(erasure: Erasure) -> dict[str, Any]:
    return {
        "id": erasure.id,
        "instance": erasure.instance_id,
        "status": erasure.status,
        "messages": erasure.messages,
        "events": erasure.events,
        "created_at": iso(erasure.created_at),
        "finished_at": iso(erasure.finished_at),
    }
