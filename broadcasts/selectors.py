from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import Any

from django.db.models import Count, QuerySet

from broadcasts import templating
from broadcasts.models import Broadcast, Recipient, Template
from broadcasts.states import GROUPS, PROGRESS_OF, Progress
from config.timestamps import iso

_CHUNK = 1000


def template_data(template: Template) -> dict[str, Any]:
    variables = templating.variables(template.message).items()
    return {
        "id": template.id,
        "name": template.name,
        "message": template.message,
        "variables": [{"name": name, "default": default} for name, default in variables],
        "created_at": iso(template.created_at),
        "updated_at": iso(template.updated_at),
    }


def progress(broadcast_ids: Collection[str]) -> dict[str, dict[str, int]]:
    """For each broadcast how many recipients are how far: one query over an index."""
    counts: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(Progress.values, 0))
    rows = Recipient.objects.filter(broadcast_id__in=broadcast_ids).order_by().values_list("broadcast_id", "state")
    for broadcast_id, state, number in rows.annotate(Count("pk")):
        counts[broadcast_id][PROGRESS_OF[state]] += number
    return counts


def broadcast_data(broadcast: Broadcast, counts: dict[str, int]) -> dict[str, Any]:
    """The broadcast as clients see it, in answers and in events."""
    return {
        "id": broadcast.id,
        "name": broadcast.name or None,
        "network": broadcast.network,
        "instances": sorted(sender.instance_id for sender in broadcast.senders.all()),
        "template_id": broadcast.template_id,
        "message": broadcast.message,
        "state": broadcast.state,
        "reason": broadcast.reason,
        "start_at": iso(broadcast.start_at),
        "pacing": {"per_minute": broadcast.per_minute} if broadcast.per_minute else None,
        "quiet_hours": broadcast.quiet_hours,
        "recipients": {
            "accepted": broadcast.accepted,
            "duplicate": broadcast.duplicate,
            "invalid": broadcast.invalid,
            "opted_out": broadcast.opted_out,
        },
        "progress": counts,
        "created_at": iso(broadcast.created_at),
        "started_at": iso(broadcast.started_at),
        "ended_at": iso(broadcast.ended_at),
    }


def one_broadcast_data(broadcast: Broadcast) -> dict[str, Any]:
    return broadcast_data(broadcast, progress([broadcast.pk])[broadcast.pk])


def recipient_data(recipient: Recipient) -> dict[str, Any]:
    """One recipient as clients see it; the times are those of its message, as long as there is one."""
    message = recipient.message if recipient.message_id else None
    code = message.error_code if message else recipient.error_code
    detail = message.error_detail if message else recipient.error_detail
    return {
        "id": recipient.id,
        "to": recipient.to,
        "client_ref": recipient.client_ref,
        "variables": recipient.variables,
        "state": PROGRESS_OF[recipient.state],
        "instance": message.instance_id if message else None,
        "message_id": recipient.message_id,
        "error": {"code": code, "detail": detail} if code else None,
        "sent_at": iso(message.sent_at) if message else None,
        "delivered_at": iso(message.delivered_at) if message else None,
        "read_at": iso(message.read_at) if message else None,
    }


def in_progress(recipients: QuerySet[Recipient], group: str) -> QuerySet[Recipient]:
    """Those that are so far."""
    return recipients.filter(state__in=GROUPS[group])


def all_of(recipients: QuerySet[Recipient]) -> Iterator[Recipient]:
    """In the order in which they were taken in, read in pieces."""
    last = None
    while True:
        rows = recipients.order_by("pk") if last is None else recipients.order_by("pk").filter(pk__gt=last)
        piece = list(rows[:_CHUNK])
        yield from piece
        if len(piece) < _CHUNK:
            return
        last = piece[-1].pk
