from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from config.ids import new_id
from webhooks.events import append
from webhooks.models import Attempt, Delivery, Endpoint, Event


@pytest.fixture
def event(draft: Any, hook: Endpoint) -> Event:
    return append([draft()])[0]


@pytest.mark.parametrize("table", ["event", "endpoint", "delivery"])
def test_operators_find_rows_by_id_and_by_text(admin_client: Client, event: Event, hook: Endpoint, table: str) -> None:
    delivery = Delivery.objects.get()
    found = {
        "event": [event.id, event.instance_id, event.organization_id, "message.rec", "Alice", ""],
        "endpoint": [hook.id, hook.organization_id, "127.0.0.1", "Alice", ""],
        "delivery": [delivery.id, event.id, hook.id, event.instance_id, "message.rec", ""],
    }
    missed = [new_id("evt"), new_id("ins"), new_id("whk"), new_id("dlv"), "evt_broken", "nonsense"]
    for text, count in [(text, 1) for text in found[table]] + [(text, 0) for text in missed]:
        response = admin_client.get(f"/admin/webhooks/{table}/", {"q": text})
        assert response.status_code == 200
        assert response.context["cl"].queryset.count() == count, text


def test_a_delivery_shows_its_attempts(admin_client: Client, event: Event) -> None:
    delivery = Delivery.objects.get()
    Attempt.objects.create(delivery=delivery, at=timezone.now(), duration_ms=12, status=503, response="come back later")
    page = admin_client.get(f"/admin/webhooks/delivery/{delivery.id}/change/")
    assert page.status_code == 200
    assert "come back later" in page.content.decode()


@pytest.mark.parametrize("table", ["event", "delivery"])
def test_events_and_deliveries_cannot_be_changed(admin_client: Client, event: Event, table: str) -> None:
    row = {"event": event, "delivery": Delivery.objects.get()}[table]
    assert admin_client.get(f"/admin/webhooks/{table}/{row.pk}/change/").status_code == 200
    assert admin_client.post(f"/admin/webhooks/{table}/{row.pk}/change/", {}).status_code == 403
    assert admin_client.post(f"/admin/webhooks/{table}/{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert admin_client.get(f"/admin/webhooks/{table}/add/").status_code == 403


def test_an_endpoint_page_shows_no_secret_and_deleting_keeps_the_row_until_pruned(
    admin_client: Client, event: Event, hook: Endpoint
) -> None:
    page = admin_client.get(f"/admin/webhooks/endpoint/{hook.id}/change/").content.decode()
    assert hook.url in page
    assert hook.secret.removeprefix("whsec_") not in page
    Endpoint.objects.update(enabled=True)
    Delivery.objects.all().delete()
    admin_client.post(f"/admin/webhooks/endpoint/{hook.id}/delete/", {"post": "yes"})
    hook.refresh_from_db()
    assert not hook.enabled
    assert hook.deleted_at is not None
