"""What becomes of an endpoint that fails: warnings after an hour, a day and three days, the end after five days.

A success ends it all. Each step is a compare-and-swap, so that it is told of once, whoever sees it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from audit.services import record
from webhooks import alerts
from webhooks.models import Endpoint

WARN_AFTER = (timedelta(hours=1), timedelta(days=1), timedelta(days=3))
DISABLE_AFTER = timedelta(days=5)
# Whatever kept us from warning in time: nobody is disabled without a warning on the day before.
NOTICE = timedelta(days=1)


def after_attempts(*, endpoint_id: str, succeeded: bool, gone: bool, now: datetime) -> bool:
    """Note what attempts gave, in the transaction that records them; False if the endpoint is disabled (now).

    ``succeeded`` if any of them did, ``gone`` if any was answered with 410. One statement while nothing changes.
    """
    endpoint = _known().filter(pk=endpoint_id).first()
    if endpoint is None or not endpoint.enabled:
        return False
    if gone:
        _disable(endpoint, Endpoint.Disabled.GONE, now)
        return False
    if succeeded and endpoint.failing_since:
        _recover(endpoint)
    elif not succeeded and not endpoint.failing_since:
        Endpoint.objects.filter(pk=endpoint.pk, failing_since=None).update(failing_since=now)
    return True


def due(now: datetime, limit: int = 100) -> list[str]:
    """Endpoints that are to be warned of or disabled."""
    step = Q(failing_since__lte=now - DISABLE_AFTER, warned_at__lte=now - NOTICE)
    for number, delay in enumerate(WARN_AFTER):
        step |= Q(warnings=number, failing_since__lte=now - delay)
    rows = Endpoint.objects.filter(step, enabled=True, deleted_at=None, failing_since__isnull=False)
    return list(rows.order_by("failing_since").values_list("pk", flat=True)[:limit])


@transaction.atomic
def advance(*, endpoint_id: str) -> None:
    """Warn of an endpoint, or disable it, if the time has come. Idempotent."""
    now = timezone.now()
    endpoint = _known().filter(pk=endpoint_id, enabled=True, deleted_at=None).first()
    if endpoint is None or endpoint.failing_since is None:
        return
    elapsed = now - endpoint.failing_since
    warnings = sum(elapsed >= delay for delay in WARN_AFTER)
    if endpoint.warnings < warnings:
        same = Endpoint.objects.filter(_unchanged(endpoint), pk=endpoint.pk, enabled=True)
        if same.update(warnings=warnings, warned_at=now):
            endpoint.warnings, endpoint.warned_at = warnings, now
            alerts.tell(endpoint, "webhook.failing", disables_at=disables_at(endpoint))
    elif (at := disables_at(endpoint)) and at <= now:
        _disable(endpoint, Endpoint.Disabled.FAILING, now)


def disables_at(endpoint: Endpoint) -> datetime | None:
    """When a failing endpoint will be disabled if nothing succeeds; None before the first warning."""
    if endpoint.failing_since is None or endpoint.warned_at is None:
        return None
    return max(endpoint.failing_since + DISABLE_AFTER, endpoint.warned_at + NOTICE)


def _disable(endpoint: Endpoint, code: str, now: datetime) -> None:
    rows = Endpoint.objects.filter(pk=endpoint.pk, enabled=True)
    if code == Endpoint.Disabled.FAILING:
        rows = rows.filter(_unchanged(endpoint))
    if rows.update(enabled=False, disabled_code=code, disabled_at=now):
        endpoint.enabled, endpoint.disabled_code, endpoint.disabled_at = False, code, now
        alerts.tell(endpoint, "webhook.disabled")
        changes = {"enabled": [True, False], "reason": code}
        record("webhook:changed", organization_id=endpoint.organization_id, subject=endpoint.pk, changes=changes)


def _recover(endpoint: Endpoint) -> None:
    rows = Endpoint.objects.filter(_unchanged(endpoint), pk=endpoint.pk)
    if rows.update(failing_since=None, warnings=0, warned_at=None) and endpoint.warnings:
        endpoint.failing_since = None
        alerts.tell(endpoint, "webhook.recovered")


def _unchanged(endpoint: Endpoint) -> Q:
    return Q(failing_since=endpoint.failing_since, warnings=endpoint.warnings)


def _known() -> QuerySet[Endpoint]:
    return Endpoint.objects.defer("secret", "old_secrets", "headers")
