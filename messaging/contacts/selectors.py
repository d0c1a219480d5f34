from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.apps import apps
from django.db.models import Model, Q, QuerySet

from config.timestamps import iso
from instances.models import Instance
from instances.whatsapp.jids import LID, PHONE, Jid
from messaging.calls.selectors import call_data
from messaging.chats.selectors import chat_data, exported
from messaging.contacts import exporting
from messaging.models import Call, Chat, Contact, Erasure, Message
from messaging.states import Direction

_STEP = 500


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
        known: dict[str, Any] = {"phone": contact.phone, "lid": contact.lid, "name": contact.name or None}
        known |= {"on_whatsapp": contact.on_whatsapp, "checked_at": iso(contact.checked_at)}
        yield {"kind": "contact", "data": known}
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
