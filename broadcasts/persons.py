"""What broadcasts keep of one person: handed out, and erased together with their messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet

from broadcasts.models import OptOut, Recipient, Sender
from broadcasts.opt_outs import any_of, opt_out_data
from broadcasts.selectors import recipient_data
from messaging.contacts.selectors import Somebody

_STEP = 500


def _recipients(person: Somebody) -> QuerySet[Recipient]:
    sent_through = Sender.objects.filter(instance=person.instance).values("broadcast_id")
    return Recipient.objects.filter(broadcast_id__in=sent_through, to__in=person.jids)


def exported(person: Somebody) -> Iterator[dict[str, Any]]:
    """A handler of exports: the broadcasts that were meant for the person, and whether they want none."""
    for recipient in _recipients(person).select_related("message").order_by("pk").iterator(chunk_size=_STEP):
        yield {"kind": "recipient", "data": recipient_data(recipient)}
    instance = person.instance
    rows = OptOut.objects.filter(organization_id=instance.organization_id, network=instance.network)
    for row in rows.filter(any_of(person.jids)):
        yield {"kind": "opt_out", "data": opt_out_data(row)}


def erased(person: Somebody) -> bool:
    """A handler of erasures. An opt-out stays: without it the person would be written to again."""
    ids = list(_recipients(person).values_list("pk", flat=True)[:_STEP])
    Recipient.objects.filter(pk__in=ids).delete()
    return bool(ids)
