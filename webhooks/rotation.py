"""Secrets of endpoints: a new one signs at once, the old one as well until its overlap is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.utils import timezone

from config.api.problems import Problem, invalid
from config.timestamps import iso
from webhooks.models import Endpoint, new_secret
from webhooks.services import record_change

MAX_OVERLAP = timedelta(days=7)
MAX_OLD = 10


@transaction.atomic
def rotate_secret(*, endpoint: Endpoint, overlap: timedelta, secret: str | None = None) -> Endpoint:
    """Give the endpoint a new secret, or this one; the present one signs as well until the overlap is over.

    Locks the row. Raises Problem ``too_many_secrets`` while ten older ones still sign, ``invalid_request`` for a
    secret that signs already, and ``not_found`` if the endpoint was deleted meanwhile.
    """
    now = timezone.now()
    locked = Endpoint.objects.select_for_update(no_key=True).filter(pk=endpoint.pk, deleted_at=None).first()
    if locked is None:
        raise Problem("not_found", "There is no such webhook endpoint.")
    if secret in locked.secrets_at(now):
        raise invalid("/secret", "secret_in_use", "This secret signs already.")
    old = [pair for pair in locked.old_secrets if pair[1] > now.timestamp()]
    if overlap:
        if len(old) >= MAX_OLD:
            raise _too_many(min(until for _, until in old), now)
        old.append([locked.secret, (now + overlap).timestamp()])
    locked.secret, locked.old_secrets = secret or new_secret(), old
    locked.save(update_fields=["secret", "old_secrets"])
    record_change(locked, "secret_rotated", {"overlap_seconds": int(overlap.total_seconds())})
    return locked


def _too_many(expires: float, now: datetime) -> Problem:
    at = datetime.fromtimestamp(expires, UTC)
    return Problem(
        "too_many_secrets",
        f"{MAX_OLD} older secrets still sign; the next of them expires at {iso(at)}. Without overlap it works.",
        headers={"Retry-After": str(int(expires - now.timestamp()) + 1)},
        limit=MAX_OLD,
        expires_at=iso(at),
    )
