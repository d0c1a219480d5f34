from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from config.ids import new_id
from webhooks.events import append
from webhooks.models import Attempt, Delivery, Endpoint, Event, Replay


@pytest.fixture
def event(draft: Any, hook: Endpoint) -> Event:
    return append([draft()])[0]


@pytest.mark.parametrize("table", ["event", "endpoint", "delivery"])
def test_operators_find_rows_by_id_and_by_text(admin_client: Client, event: Event, hook: Endpoint, table: str) -> None:
    delivery = Delivery.objects.get()
    found = {
        "event": [event.id, event.instance_id, event.organization_id, "message.received", ""],
        "endpoint": [hook.id, hook.organization_id, "127.0.0.1", "Alice", ""],
        "delivery": [delivery.id, event.id, hook.id, event.instance_id, "message.received", ""],
    }
    missed = [new_id("evt"), new_id("ins"), new_id("whk"), new_id("dlv"), "evt_broken", "nonsense"]
    for text, count in [(text, 1) for text in found[table]] + [(text, 0) for text in missed]:
        response = admin_client.get(f"/admin/webhooks/{table}/", {"q": text})
        assert response.status_code == 200
        assert response.context["cl"].queryset.count() == count, text


def test_a_delivery_shows_its_attempts(admin_client: Client, event: Event) -> None:
    delivery = Delivery.objects.get()
    reply = "what was sent, repeated"
    Attempt.objects.create(delivery=delivery, at=timezone.now(), duration_ms=1234, status=503, response=reply)
    page = admin_client.get(f"/admin/webhooks/delivery/{delivery.id}/change/")
    assert page.status_code == 200
    text = page.content.decode()
    assert "503" in text
    assert "1234" in text
    assert reply not in text


@pytest.mark.parametrize("table", ["event", "delivery"])
def test_events_and_deliveries_cannot_be_changed(admin_client: Client, event: Event, table: str) -> None:
    row = {"event": event, "delivery": Delivery.objects.get()}[table]
    assert admin_client.get(f"/admin/webhooks/{table}/{row.pk}/change/").status_code == 200
    assert admin_client.post(f"/admin/webhooks/{table}/{row.pk}/change/", {}).status_code == 403
    assert admin_client.post(f"/admin/webhooks/{table}/{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert admin_client.get(f"/admin/webhooks/{table}/add/").status_code == 403


def _act(client: Client, table: str, pk: str, action: str) -> str:
    """Confirm an action; returns what the operator then reads."""
    confirmed = client.post(f"/admin/webhooks/{table}/{pk}/{action}/", {"_form_submitted": "on"})
    return client.get(confirmed["HX-Redirect"]).content.decode()


def test_an_operator_disables_and_enables_an_endpoint(admin_client: Client, hook: Endpoint) -> None:
    page = _act(admin_client, "endpoint", hook.id, "disable")
    hook.refresh_from_db()
    assert "The endpoint is disabled." in page
    assert (hook.enabled, hook.disabled_code) == (False, "disabled_by_operator")
    assert hook.secret.removeprefix("whsec_") not in page
    _act(admin_client, "endpoint", hook.id, "enable")
    hook.refresh_from_db()
    assert (hook.enabled, hook.disabled_code) == (True, "")


def test_an_operator_resends_a_delivery_that_failed(admin_client: Client, event: Event, hook: Endpoint) -> None:
    delivery = Delivery.objects.get()
    Delivery.objects.update(state=Delivery.State.FAILED, next_attempt_at=None)
    assert "is on its way" in _act(admin_client, "delivery", delivery.id, "resend")
    delivery.refresh_from_db()
    assert delivery.state == Delivery.State.PENDING


def test_an_operator_cannot_resend_to_an_endpoint_that_is_disabled(
    admin_client: Client, event: Event, hook: Endpoint
) -> None:
    delivery = Delivery.objects.get()
    Delivery.objects.update(state=Delivery.State.FAILED, next_attempt_at=None)
    Endpoint.objects.update(enabled=False)
    assert "Enable the endpoint first." in _act(admin_client, "delivery", delivery.id, "resend")
    delivery.refresh_from_db()
    assert delivery.state == Delivery.State.FAILED


def test_an_operator_sees_how_an_endpoint_is_but_none_of_its_secrets(admin_client: Client, hook: Endpoint) -> None:
    hook.headers, hook.old_secrets = {"X-Key": "planted"}, [["whsec_planted", 4e9]]
    hook.failing_since = timezone.now()
    hook.save()
    for path in ("", f"{hook.id}/change/"):
        page = admin_client.get(f"/admin/webhooks/endpoint/{path}").content.decode()
        assert "Failing" in page
        assert "No attempt has succeeded since." in page
        assert "planted" not in page
        assert hook.secret.removeprefix("whsec_") not in page


def test_an_operator_cancels_a_replay(admin_client: Client, event: Event, hook: Endpoint) -> None:
    replay = Replay.objects.create(
        organization_id=hook.organization_id,
        endpoint=hook,
        kind=Replay.Kind.REPLAY,
        since=event.timestamp,
        until=timezone.now(),
        cursor=event.id,
    )
    assert "The replay is cancelled." in _act(admin_client, "replay", replay.id, "cancel")
    replay.refresh_from_db()
    assert replay.state == Replay.State.CANCELLED


def test_the_organization_is_told_when_an_operator_disables_its_endpoint(admin_client: Client, hook: Endpoint) -> None:
    _act(admin_client, "endpoint", hook.id, "disable")
    assert [(event.type, event.data["reason"]) for event in Event.objects.all()] == [
        ("webhook.disabled", "disabled_by_operator")
    ]
