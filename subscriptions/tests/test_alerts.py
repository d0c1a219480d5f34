from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.utils import timezone
from pytest_django import Settings

from accounts.models import Membership, Organization, Role, User
from config.celery import app
from conftest import Person
from subscriptions import alerts, quota
from subscriptions.models import Meter, UsageAlert
from subscriptions.tasks import mail_alert, sweep_alerts

pytestmark = pytest.mark.django_db


class DeadMailServer(BaseEmailBackend):
    def send_messages(self, messages: Any) -> int:
        raise ConnectionRefusedError


@pytest.fixture
def alert(alice: Person, set_meter: Callable[..., Meter]) -> UsageAlert:
    """Alice's organization has just used 8 of 10 messages."""
    set_meter(alice, limit=10)
    with transaction.atomic():
        quota.reserve({(alice.organization.id, "sandbox"): 8})
    return UsageAlert.objects.get()


def later(alert: UsageAlert, **delta: float) -> None:
    """Let time pass for the alert."""
    past = timezone.now() - timedelta(**delta)
    UsageAlert.objects.filter(pk=alert.pk).update(created_at=past)
    UsageAlert.objects.filter(pk=alert.pk, claimed_until__isnull=False).update(claimed_until=past)


def test_owners_and_admins_are_told_once(alert: UsageAlert, alice: Person, bob: Person, rita: Person) -> None:
    admin = User.objects.create_user("adam@example.com", None, name="Adam")
    gone = User.objects.create_user("gina@example.com", None, name="Gina", is_active=False)
    for user in (admin, gone):
        Membership.objects.create(organization=alice.organization, user=user, role=Role.ADMIN)
    mail_alert(alert.pk)
    mail_alert(alert.pk)
    (message,) = mail.outbox
    assert message.to == ["adam@example.com", "alice@example.com"]
    assert "80 %" in message.subject
    assert "8 of the 10 messages" in message.body
    assert f"{alert.renews_at:%Y-%m-%d}" in message.body
    alert.refresh_from_db()
    assert alert.mailed_at is not None


def test_a_name_cannot_add_headers(alert: UsageAlert) -> None:
    Organization.objects.update(name="Acme\r\nBcc: eve@example.com {used}")
    mail_alert(alert.pk)
    assert mail.outbox[0].recipients() == ["alice@example.com"]
    assert "{used}" in mail.outbox[0].subject


def test_what_got_lost_is_swept_up(alert: UsageAlert) -> None:
    assert alerts.forgotten() == []
    later(alert, minutes=1)
    assert alerts.forgotten() == [alert.pk]
    mail_alert(alert.pk)
    assert alerts.forgotten() == []


def test_a_mail_server_that_is_away_is_tried_again_later(alert: UsageAlert, settings: Settings) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.DeadMailServer"
    mail_alert(alert.pk)
    later(alert, minutes=-1)
    assert alerts.forgotten() == []
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    later(alert, minutes=6)
    assert alerts.forgotten() == [alert.pk]
    mail_alert(alert.pk)
    assert len(mail.outbox) == 1


def test_an_alert_nobody_can_be_told_of_is_done(alert: UsageAlert) -> None:
    Membership.objects.all().delete()
    mail_alert(alert.pk)
    later(alert, minutes=6)
    assert alerts.forgotten() == []
    assert mail.outbox == []


def test_a_larger_plan_warns_anew(alert: UsageAlert, alice: Person, set_meter: Callable[..., Meter]) -> None:
    alice.client.patch("/api/subscription", {"plan": "pro"}, format="json")
    set_meter(alice, used=39_999, limit=50_000)
    with transaction.atomic():
        key = alice.organization.id, "sandbox"
        assert [one.limit for one in quota.reserve({key: 1})[key].crossed] == [50_000]


def wait_until_queued(alert: UsageAlert) -> None:
    """Takes tasks from the workers' queue until the one for this alert comes; raises queue.Empty."""
    with app.connection_for_read() as broker:
        tasks = broker.SimpleQueue("tasks")
        found = False
        while not found:
            task = tasks.get(timeout=10)
            task.ack()
            found = (task.headers["task"], task.payload[0]) == ("subscriptions.tasks.mail_alert", [alert.pk])
        tasks.close()


def test_the_crossing_and_the_sweeper_have_it_mailed(committed: None, alert: UsageAlert) -> None:
    wait_until_queued(alert)
    later(alert, minutes=1)
    sweep_alerts()
    wait_until_queued(alert)
