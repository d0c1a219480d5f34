"""Finding messages: every filter of the list, each served by an index when the instance is known."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.db.models import BooleanField, Q, QuerySet
from django.db.models.expressions import RawSQL

from accounts.actor import Actor
from config.ids import first_id
from instances import access as instance_access
from instances.models import Instance
from instances.whatsapp.jids import LID, PHONE, Jid
from messaging import access
from messaging.finding import search
from messaging.models import Chat, Contact, Message
from messaging.states import RARE

# SQLite uses a partial index only where the condition stands in the query as it does in the index.
_IS_RARE = RawSQL(  # noqa: S611 (no value is in the text)
    f"messaging_message.status IN ({', '.join(repr(status) for status in RARE)})", (), BooleanField()
)
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def messages(
    actor: Actor,
    *,
    instance: str | None = None,
    chat: Jid | None = None,
    status: Sequence[str] | None = None,
    type: Sequence[str] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    q: str | None = None,
    **columns: Any,
) -> QuerySet[Message]:
    """The caller's messages with all of these properties; ``columns`` are compared as they are.

    Moments are those in which a message was accepted or received; its id begins with it.
    Raises Problem like ``instances.access.instance``, and ``invalid_request`` for a query without words.
    """
    rows = access.messages(actor).filter(**columns)
    place = None if instance is None else instance_access.instance(actor, instance)
    if place is None and (chat or status or type or columns):
        place = _only_instance(actor)
    if place is not None:
        rows = rows.filter(instance=place)
    if chat is not None:
        rows = rows.filter(_in_chat(actor, place, chat))
    if status is not None:
        rows = rows.filter(status__in=status)
        if set(status) <= set(RARE):
            rows = rows.filter(_IS_RARE)
    if type is not None:
        rows = rows.filter(type__in=type)
        if "text" not in type:
            rows = rows.filter(~Q(type="text"))
    if since is not None:
        rows = rows.filter(pk__gte=_first_id(since))
    if until is not None:
        rows = rows.filter(pk__lt=_first_id(until))
    return rows if q is None else rows.filter(search.matching(actor.organization_id, q))


def _first_id(moment: datetime) -> str:
    return first_id(max(moment, _BEGINNING), "msg")


def _only_instance(actor: Actor) -> Instance | None:
    """Who has one number need not name it to have its indexes used."""
    found = list(instance_access.instances(actor)[:2])
    return found[0] if len(found) == 1 else None


def _in_chat(actor: Actor, place: Instance | None, jid: Jid) -> Q:
    """Of one chat, by whichever of its JIDs."""
    if jid.server != LID:
        return Q(chat=str(jid))
    mine = {"instance": place} if place is not None else {"instance__organization_id": actor.organization_id}
    phones = Contact.objects.filter(**mine, lid=str(jid), phone__isnull=False).values_list("phone", flat=True)
    chats = Chat.objects.filter(**mine, lid=str(jid)).values_list("jid", flat=True)
    names = {str(jid), *(f"{phone}@{PHONE}" for phone in phones), *chats}
    return Q(chat__in=sorted(names))
