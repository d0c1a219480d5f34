from __future__ import annotations

from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.actor import Actor
from audit.services import record
from config import egress
from config.api.problems import FieldError, Problem, invalid
from webhooks import access, alerts, announcer
from webhooks.models import Endpoint

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
    """Register a URL for the events that match the patterns.

    ``fields``: description, instances, chat_kinds, ordering, headers, enabled. Raises Problem like check_url, and
    ``too_many_webhooks``.
    """
    check_url(url)
    if "instances" in fields or actor.instances is not None:
        fields["instances"] = access.audible(actor, fields.get("instances"))
    if Endpoint.objects.filter(organization_id=actor.organization_id, deleted_at=None).count() >= MAX_ENDPOINTS:
        raise Problem("too_many_webhooks", f"The limit is {MAX_ENDPOINTS}.", limit=MAX_ENDPOINTS)
    endpoint = Endpoint.objects.create(
        organization_id=actor.organization_id,
        mode=actor.mode,
        url=url,
        events=events,
        **fields | _standing(fields, by=Endpoint.Disabled.USER),
    )
    record_change(endpoint, "created", _shown(fields | {"url": url, "events": events}))
    return endpoint


@transaction.atomic
def change_endpoint(*, endpoint: Endpoint, by: str = Endpoint.Disabled.USER, **fields: Any) -> Endpoint:
    """Change the fields of create_endpoint. Enabling forgets all failures and delivers what is still open.

    ``by`` says whose act it is if it disables the endpoint; an operator's is told to the organization. Raises Problem
    like check_url, and ``not_found`` if it was deleted meanwhile.
    """
    if "url" in fields:
        check_url(fields["url"])
    if fields.get("enabled"):
        transaction.on_commit(partial(announcer.announce, [], [endpoint.id]), robust=True)
    changed = {name for name, value in fields.items() if getattr(endpoint, name) != value}
    before = _shown({name: getattr(endpoint, name) for name in changed})
    after = _shown({name: fields[name] for name in changed})
    if fields.get("enabled") is False and not endpoint.enabled:
        del fields["enabled"]  # why and since when it is disabled stays
    fields |= _standing(fields, by=by)
    for name, value in fields.items():
        setattr(endpoint, name, value)
    if fields and not Endpoint.objects.filter(pk=endpoint.pk, deleted_at=None).update(**fields):
        raise Problem("not_found", "There is no such webhook endpoint.")
    if "enabled" in changed and not endpoint.enabled and by == Endpoint.Disabled.OPERATOR:
        alerts.tell(endpoint, "webhook.disabled")
    if changed:
        record_change(endpoint, "changed", {name: [before[name], after[name]] for name in before})
    return endpoint


def _standing(fields: dict[str, Any], by: str) -> dict[str, Any]:
    """The columns that go with being enabled or disabled, if that is among the fields."""
    if "enabled" not in fields:
        return {}
    if not fields["enabled"]:
        return {"disabled_code": by, "disabled_at": timezone.now()}
    return {"disabled_code": "", "disabled_at": None, "failing_since": None, "warnings": 0, "warned_at": None}


def _shown(fields: dict[str, Any]) -> dict[str, Any]:
    """What the audit log keeps of fields: neither paths of URLs nor values of headers, which often are secrets."""
    shown = {name: value for name, value in fields.items() if name not in ("url", "headers")}
    if "url" in fields:
        shown["host"] = alerts.host(fields["url"])
    if "headers" in fields:
        shown["headers"] = sorted(fields["headers"])
    return shown


@transaction.atomic
def delete_endpoint(*, endpoint: Endpoint) -> None:
    """Stop delivering and forget the endpoint; its rows go with a later pruning. Idempotent."""
    if Endpoint.objects.filter(pk=endpoint.pk, deleted_at=None).update(enabled=False, deleted_at=timezone.now()):
        record_change(endpoint, "deleted", {"host": alerts.host(endpoint.url)})


def record_change(endpoint: Endpoint, verb: str, changes: dict[str, Any]) -> None:
    """Tell the audit log what was done to an endpoint; ``changes`` hold no secret."""
    record(f"webhook:{verb}", organization_id=endpoint.organization_id, subject=endpoint.id, changes=changes)
