"""Endpoints and deliveries by what callers ask for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db.models import OuterRef, Prefetch, Q, QuerySet, Subquery
from django.db.models.functions import Left

from accounts.actor import Actor
from config.ids import first_id
from webhooks import access, states
from webhooks.models import Attempt, Delivery, Endpoint

SHOWN_IN_LISTS = 500  # characters of an answer: a page may have a thousand attempts


def next_attempts(endpoints: Iterable[Endpoint]) -> dict[str, datetime]:
    """When the earliest open delivery of each enabled endpoint is due, by id; one look into an index for each."""
    ids = [endpoint.pk for endpoint in endpoints if endpoint.enabled]
    waiting = Delivery.objects.filter(endpoint=OuterRef("pk"), next_attempt_at__isnull=False)
    first = Subquery(waiting.order_by("next_attempt_at").values("next_attempt_at")[:1])
    rows = Endpoint.objects.filter(pk__in=ids).values_list("pk", first)
    return {pk: at for pk, at in rows if at}


def endpoints(actor: Actor, state: Sequence[str] | None = None) -> QuerySet[Endpoint]:
    """The endpoints a caller may know of, in one of these states."""
    rows = access.endpoints(actor)
    if state is None:
        return rows
    wanted = Q()
    for one in state:
        wanted |= states.QUERIES[one]
    return rows.filter(wanted)


def deliveries(
    actor: Actor,
    endpoint_id: str,
    state: Sequence[str] | None = None,
    type: Sequence[str] | None = None,
    event: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[Delivery]:
    """The deliveries of one endpoint with their events and attempts; ``since`` and ``until`` are when they were made.

    Of a receiver's answer attempts have the beginning, as ``shown``. Raises Problem ``not_found`` for the endpoint.
    """
    attempts = Attempt.objects.defer("response").annotate(shown=Left("response", SHOWN_IN_LISTS))
    rows = access.deliveries(actor, endpoint_id).prefetch_related(Prefetch("attempts", attempts))
    if state is not None:
        rows = rows.filter(state__in=state)
    if type is not None:
        rows = rows.filter(type__in=type)
    if event is not None:
        rows = rows.filter(event=event)
    if since is not None:
        rows = rows.filter(pk__gte=first_id(since, "dlv"))
    if until is not None:
        rows = rows.filter(pk__lt=first_id(until, "dlv"))
    return rows
