from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.actor import Actor
from audit.services import record
from config import egress
from config.api.problems import FieldError, Problem, invalid
from webhooks import access, announcer
from webhooks.models import Delivery, Endpoint

# Each endpoint adds a row to every event, so their number bounds the cost of a message.
MAX_ENDPOINTS = 50


def check_url(url: str) -> None:
    """Refuse what can never be delivered to. Raises Problem ``invalid_request`` or ``url_not_allowed``."""
    try:
        parsed = egress.checked_url(url)
    except egress.InvalidUrl as error:
        raise invalid("/url", "invalid_url", str(error)) from error
    if settings.PRODUCTION and parsed.scheme != "https":
        raise invalid("/url", "https_required", "The URL must begin with https://.")
    if egress.names_refused_address(parsed):
        errors = [FieldError("/url", "url_not_allowed", "This address is not allowed.")]
        raise Problem("url_not_allowed", errors=errors)


@transaction.atomic
def create_endpoint(*, actor: Actor, url: str, events: list[str], **fields: Any) -> Endpoint:
    """Register a URL for the events that match the patterns; ``fields``: description, instances, enabled.

    Raises Problem like check_url, and ``too_many_webhooks``.
    """
    check_url(url)
    if "instances" in fields or actor.instances is not None:
        fields["instances"] = access.audible(actor, fields.get("instances"))
    if Endpoint.objects.filter(organization_id=actor.organization_id, deleted_at=None).count() >= MAX_ENDPOINTS:
        raise Problem("too_many_webhooks", f"The limit is {MAX_ENDPOINTS}.", limit=MAX_ENDPOINTS)
    endpoint = Endpoint.objects.create(
        organization_id=actor.organization_id, mode=actor.mode, url=url, events=events, **fields
    )
    _record(endpoint, "created", {"host": _host(url), "events": events} | fields)
    return endpoint


@transaction.atomic
def change_endpoint(*, endpoint: Endpoint, **fields: Any) -> Endpoint:
    """Change url, events, description, instances or enabled; enabling delivers what is still open.

    Raises Problem like check_url, and ``not_found`` if it was deleted meanwhile.
    """
    if "url" in fields:
        check_url(fields["url"])
    if fields.get("enabled"):
        fields["disabled_reason"] = ""
        transaction.on_commit(partial(announcer.announce, [], [endpoint.id]), robust=True)
    changes = {name: [getattr(endpoint, name), value] for name, value in fields.items()}
    changes = {name: pair for name, pair in changes.items() if pair[0] != pair[1]}
    if "url" in changes:
        changes["host"] = [_host(url) for url in changes.pop("url")]
    for name, value in fields.items():
        setattr(endpoint, name, value)
    if fields and not Endpoint.objects.filter(pk=endpoint.pk, deleted_at=None).update(**fields):
        raise Problem("not_found", "There is no such webhook endpoint.")
    if changes:
        _record(endpoint, "changed", changes)
    return endpoint


@transaction.atomic
def delete_endpoint(*, endpoint: Endpoint) -> None:
    """Stop delivering and forget the endpoint; its rows go with a later pruning. Idempotent."""
    if Endpoint.objects.filter(pk=endpoint.pk, deleted_at=None).update(enabled=False, deleted_at=timezone.now()):
        _record(endpoint, "deleted", {"host": _host(endpoint.url)})


def _host(url: str) -> str:
    """What the audit log keeps of a URL: path and query are often secrets of the receiver."""
    return urlsplit(url).netloc


def _record(endpoint: Endpoint, verb: str, changes: dict[str, Any]) -> None:
    record(f"webhook:{verb}", organization_id=endpoint.organization_id, subject=endpoint.id, changes=changes)


@transaction.atomic
def resend(*, delivery: Delivery) -> bool:
    """Attempt a finished delivery once more, at once and before what is due later; False if it is still open.

    Idempotent while it is open. After a failure it goes on with the attempts it has left. Raises Problem
    ``webhook_disabled``, also for a deleted endpoint.
    """
    if not Endpoint.objects.filter(pk=delivery.endpoint_id, enabled=True, deleted_at=None).exists():
        raise Problem("webhook_disabled", "Enable the endpoint first.")
    again = {"state": Delivery.State.PENDING, "next_attempt_at": timezone.now()}
    if not Delivery.objects.filter(pk=delivery.pk, next_attempt_at__isnull=True).update(**again):
        return False
    transaction.on_commit(partial(announcer.announce, [], [delivery.endpoint_id]), robust=True)
    return True
