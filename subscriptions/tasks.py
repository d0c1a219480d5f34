from __future__ import annotations

from celery import shared_task

from subscriptions import alerts, selectors, services


@shared_task
def mail_alert(alert_id: str) -> None:
    """Mail an alert, unless that has been done."""
    alerts.mail(alert_id=alert_id)


@shared_task
def sweep_alerts() -> None:
    """Mail the alerts whose task got lost."""
    for alert_id in alerts.forgotten():
        mail_alert.delay(alert_id)


@shared_task
def sweep_expired() -> None:
    """Suspend the organizations whose subscription has ended."""
    for organization_id in selectors.ended():
        services.expire(organization_id=organization_id)
