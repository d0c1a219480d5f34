"""E-mails that tell of a meter near or at its limit."""

from __future__ import annotations

from datetime import timedelta

import structlog
from django.core.mail import send_mail
from django.db.models import F, Q
from django.utils import timezone

from accounts.selectors import managers
from subscriptions.models import UsageAlert

log = structlog.get_logger(__name__)
_CLAIM = timedelta(minutes=5)
_MAX_ATTEMPTS = 10
_SUBJECT = "{percent} % of the messages of {organization} are used"
_TEXT = """{organization} has used {used} of the {limit} messages of this month on the network {network}.

The month renews at {renews_at:%Y-%m-%d %H:%M} UTC. Until then {outlook}.
A larger plan takes effect at once.
"""


def _open() -> Q:
    return Q(claimed_until=None) | Q(claimed_until__lt=timezone.now())


def mail(*, alert_id: str) -> bool:
    """Mail an alert to the owners and admins of its organization; True if this call did.

    Idempotent: who claims the row by compare-and-swap sends it. If the mail server fails or the process dies, the
    claim runs out and the sweeper has it sent (perhaps again), ten attempts in all.
    """
    mine = UsageAlert.objects.filter(_open(), pk=alert_id, mailed_at=None, attempts__lt=_MAX_ATTEMPTS)
    if not mine.update(claimed_until=timezone.now() + _CLAIM, attempts=F("attempts") + 1):
        return False
    alert = UsageAlert.objects.select_related("organization").get(pk=alert_id)
    addresses = managers(alert.organization_id)
    if addresses:
        words = {
            "organization": alert.organization.name,
            "network": alert.network,
            "percent": alert.percent,
            "used": alert.used,
            "limit": alert.limit,
            "renews_at": alert.renews_at,
            "outlook": "new messages are refused" if alert.percent >= 100 else "the rest can be used",
        }
        # A name may hold a line break, which would begin another header.
        subject = " ".join(_SUBJECT.format(**words).split())
        try:
            send_mail(subject, _TEXT.format(**words), None, addresses)
        except OSError as error:  # of which SMTPException is one
            log.warning("alert_not_mailed", alert=alert_id, error=repr(error))
            return False
    UsageAlert.objects.filter(pk=alert_id).update(mailed_at=timezone.now(), claimed_until=None)
    return True


def forgotten(limit: int = 100) -> list[str]:
    """Alerts that nobody is mailing, oldest first; those that just came are left to their own task."""
    before = timezone.now() - timedelta(seconds=30)
    rows = UsageAlert.objects.filter(_open(), mailed_at=None, attempts__lt=_MAX_ATTEMPTS, created_at__lt=before)
    return list(rows.order_by("created_at").values_list("pk", flat=True)[:limit])
