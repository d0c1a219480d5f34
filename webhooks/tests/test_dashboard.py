from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from config.dashboard import Table
from webhooks import dashboard
from webhooks.events import append
from webhooks.models import Delivery, Endpoint


@pytest.fixture
def delivery(draft: Any, hook: Endpoint) -> Delivery:
    return append([draft()]) and Delivery.objects.get()


def test_open_deliveries_are_counted_and_the_longest_overdue_told(delivery: Delivery) -> None:
    Delivery.objects.update(next_attempt_at=timezone.now() - timedelta(minutes=15))
    figure = dashboard.deliveries()
    assert (figure.value, figure.tone) == ("1", "danger")
    assert figure.note.startswith("the oldest overdue for 15 min")


def test_what_is_due_later_is_not_overdue(delivery: Delivery) -> None:
    Delivery.objects.update(next_attempt_at=timezone.now() + timedelta(minutes=15))
    assert (dashboard.deliveries().value, dashboard.deliveries().note) == ("1", "None is overdue")


def test_what_waits_for_a_disabled_endpoint_is_not_open(delivery: Delivery) -> None:
    Delivery.objects.update(next_attempt_at=timezone.now() - timedelta(minutes=15))
    Endpoint.objects.update(enabled=False)
    assert (dashboard.deliveries().value, dashboard.deliveries().note) == ("0", "None is overdue")


def test_an_endpoint_fails_while_nothing_succeeds_and_when_it_was_disabled_for_it(hook: Endpoint) -> None:
    def told() -> list[str]:
        body = dashboard.failing_endpoints().body
        assert isinstance(body, Table)
        return [" ".join(row) for row in body.rows]

    assert told() == []
    Endpoint.objects.update(failing_since=timezone.now() - timedelta(minutes=5))
    assert "failing for 5 min" in told()[0]
    Endpoint.objects.update(enabled=False, disabled_code="receiver_gone", failing_since=None)
    assert "disabled" in told()[0]
    assert hook.url.removeprefix("http://") in told()[0]
