from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from audit.models import Entry
from config.timestamps import iso

_STEP = 500


def entries(
    organization_id: str,
    *,
    tag: str = "",
    actor: str = "",
    subject: str = "",
    request_id: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[Entry]:
    """The entries of one organization that match all that is given.

    ``tag`` is one or more whole parts of a tag: ``api``, ``key``, ``key:created``. ``actor`` is an id, an e-mail
    address or a key's name; operators are found by neither. ``since`` is included, ``until`` is not.
    """
    rows = Entry.objects.filter(organization_id=organization_id)
    if tag:
        whole, first, last = Q(tag=tag), Q(tag__startswith=f"{tag}:"), Q(tag__endswith=f":{tag}")
        rows = rows.filter(whole | first | last | Q(tag__contains=f":{tag}:"))
    if actor:
        rows = rows.filter(Q(actor_id=actor) | Q(actor_name=actor)).exclude(actor_kind="operator")
    if subject:
        rows = rows.filter(subject=subject)
    if request_id:
        rows = rows.filter(request_id=request_id)
    if since:
        rows = rows.filter(at__gte=since)
    if until:
        rows = rows.filter(at__lt=until)
    return rows


def newest_first(rows: QuerySet[Entry]) -> Iterator[Entry]:
    """All rows, read in steps, so that a long log needs no memory."""
    step = list(rows.order_by("-sequence")[:_STEP])
    while step:
        yield from step
        step = list(rows.filter(sequence__lt=step[-1].sequence).order_by("-sequence")[:_STEP])


def entry_data(entry: Entry) -> dict[str, Any]:
    """The entry as the organization sees it: an operator is named as such and not in person."""
    operator = entry.actor_kind == "operator"
    return {
        "id": entry.id,
        "sequence": entry.sequence,
        "at": iso(entry.at),
        "tag": entry.tag,
        "actor": {
            "kind": entry.actor_kind,
            "id": None if operator else entry.actor_id or None,
            "name": None if operator else entry.actor_name or None,
        },
        "address": None if operator else entry.address or None,
        "request_id": entry.request_id or None,
        "subject": entry.subject or None,
        "changes": entry.changes,
        "previous": entry.previous,
        "hash": entry.hash,
    }
