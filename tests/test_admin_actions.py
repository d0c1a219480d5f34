"""What operators do through the admin: each by the service of its app, and each in the audit log with their name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db import models
from django.test import Client
from django.utils import timezone

from accounts.models import ApiKey, Organization, User
from audit.models import Entry
from broadcasts.models import Broadcast
from config.admin import page_of
from conftest import PASSWORD, Person
from instances.models import Instance
from instances.states import State, Wanted
from subscriptions.models import Meter, Plan, Subscription
from webhooks.models import Endpoint


class Operator:
    """Somebody who is logged in to the admin."""

    def __init__(self, user: User) -> None:
        self.user, self.client = user, Client()
        self.client.force_login(user)

    def act(self, obj: models.Model, action: str, **fields: str) -> Any:
        """Confirm an action as its dialog does."""
        address = f"{page_of(obj).removesuffix('change/')}{action}/"
        return self.client.post(address, {"_form_submitted": "on", **fields})

    def read(self, obj: models.Model) -> str:
        return self.client.get(page_of(obj)).content.decode()


@pytest.fixture
def operator(db: None) -> Operator:
    return Operator(User.objects.create_superuser("operator@example.com", PASSWORD, name="Operator"))


@pytest.fixture
def observer(db: None) -> Operator:
    """May look at everything and change nothing."""
    user = User.objects.create_user("observer@example.com", PASSWORD, name="Observer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    return Operator(user)


@pytest.fixture
def subscription(alice: Person) -> Subscription:
    return Subscription.objects.get(organization=alice.organization)


def _recorded(operator: Operator, tag: str) -> Entry:
    """The one entry of this act, which names the operator."""
    entry = Entry.objects.get(tag=tag)
    assert (entry.actor_kind, entry.actor_id, entry.actor_name) == ("operator", operator.user.id, operator.user.email)
    return entry


def test_a_suspension_is_recorded_and_shown(operator: Operator, alice: Person) -> None:
    operator.act(alice.organization, "suspend")
    assert f"{alice.organization} is suspended." in operator.read(alice.organization)
    assert _recorded(operator, "admin:organization:suspended").organization_id == alice.organization.id
    operator.act(alice.organization, "resume")
    alice.organization.refresh_from_db()
    assert alice.organization.suspended_at is None
    assert _recorded(operator, "admin:organization:resumed").organization_id == alice.organization.id


def test_an_instance_is_stopped_and_connected(operator: Operator, instance: Instance) -> None:
    operator.act(instance, "stop")
    instance.refresh_from_db()
    assert (instance.wanted, instance.state) == (Wanted.STOPPED, State.STOPPED)
    operator.act(instance, "connect")
    instance.refresh_from_db()
    assert (instance.wanted, instance.state) == (Wanted.CONNECTED, State.CONNECTING)


def test_a_quarantine_is_ended(operator: Operator, instance: Instance) -> None:
    Instance.objects.update(quarantined_until=timezone.now() + timedelta(hours=1))
    operator.act(instance, "release")
    instance.refresh_from_db()
    assert instance.quarantined_until is not None
    assert instance.quarantined_until <= timezone.now()
    assert _recorded(operator, "admin:instance:quarantine_ended").subject == instance.id


def test_a_broadcast_is_paused_and_cancelled(operator: Operator, alice: Person) -> None:
    broadcast = _broadcast(alice)
    for action, state in (("pause", "paused"), ("cancel", "cancelled")):
        operator.act(broadcast, action)
        broadcast.refresh_from_db()
        assert broadcast.state == state
        assert _recorded(operator, f"admin:broadcast:{state}").subject == broadcast.id


def test_a_key_is_revoked_at_once(operator: Operator, alice: Person) -> None:
    program = alice.program()
    assert program.get("/api/instances").status_code == 200
    key = ApiKey.objects.get()
    operator.act(key, "revoke")
    key.refresh_from_db()
    assert key.revoked
    assert _recorded(operator, "admin:key:revoked").subject == key.id


def test_a_plan_is_given_whether_its_use_fits_or_not(operator: Operator, subscription: Subscription) -> None:
    Meter.objects.filter(organization=subscription.organization).update(used=60_000)
    answer = operator.act(subscription, "change_plan", plan="pro")
    assert answer["HX-Redirect"] == page_of(subscription)
    subscription.refresh_from_db()
    assert subscription.plan_id == "pro"
    assert set(Meter.objects.values_list("limit", flat=True)) == {50_000}
    assert _recorded(operator, "admin:plan:changed").changes == {"plan": ["basic", "pro"]}


def test_an_unknown_plan_keeps_the_dialog_open(operator: Operator, subscription: Subscription) -> None:
    answer = operator.act(subscription, "change_plan", plan="golden")
    assert "HX-Redirect" not in answer
    assert "Select a valid choice" in answer.content.decode()
    subscription.refresh_from_db()
    assert subscription.plan_id == "basic"


def test_a_subscription_ends_with_the_day_that_was_chosen(operator: Operator, subscription: Subscription) -> None:
    operator.act(subscription, "change_end", last_day="2999-12-31")
    subscription.refresh_from_db()
    assert subscription.expires_at == datetime(3000, 1, 1, tzinfo=UTC)
    assert _recorded(operator, "admin:subscription:extended").subject == subscription.id


def test_an_end_in_the_past_suspends_and_a_later_one_resumes(operator: Operator, subscription: Subscription) -> None:
    past = (timezone.now() - timedelta(days=3)).date().isoformat()
    operator.act(subscription, "change_end", last_day=past)
    organization = Organization.objects.get(pk=subscription.organization_id)
    assert organization.suspended_reason == "expired"
    operator.act(subscription, "change_end", last_day="")
    organization.refresh_from_db()
    assert organization.suspended_at is None


def test_a_plan_that_is_edited_moves_the_limits_of_all_who_have_it(operator: Operator, alice: Person) -> None:
    basic = Plan.objects.get(pk="basic")
    fields = {"name": "Basic", "instances": 5, "messages_per_month": 20_000, "requests_per_minute": 600, "position": 1}
    answer = operator.client.post(page_of(basic), fields | {"is_public": "on"})
    assert answer.status_code == 302
    assert set(Meter.objects.filter(organization=alice.organization).values_list("limit", flat=True)) == {20_000}
    changes = _recorded(operator, "admin:plan:edited").changes
    assert changes["messages_per_month"] == [10_000, 20_000]


def test_a_user_who_is_made_an_operator_is_recorded_without_values(operator: Operator, alice: Person) -> None:
    inline = {"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"}
    operator.client.post(page_of(alice.user), {"name": "Alice", "is_staff": "on"} | inline)
    alice.user.refresh_from_db()
    assert alice.user.is_staff
    assert _recorded(operator, "admin:user:changed").changes == {"fields": ["Is staff"]}


Prepare = Callable[[Person, Instance, Subscription], models.Model]
ACTIONS: list[tuple[str, Prepare]] = [
    ("suspend", lambda alice, instance, subscription: alice.organization),
    ("resume", lambda alice, instance, subscription: alice.organization),
    ("end_sessions", lambda alice, instance, subscription: alice.user),
    ("deactivate", lambda alice, instance, subscription: alice.user),
    ("reactivate", lambda alice, instance, subscription: alice.user),
    ("end", lambda alice, instance, subscription: alice.user.sessions.get()),
    ("revoke", lambda alice, instance, subscription: _key(alice)),
    ("connect", lambda alice, instance, subscription: instance),
    ("stop", lambda alice, instance, subscription: instance),
    ("release", lambda alice, instance, subscription: instance),
    ("change_plan", lambda alice, instance, subscription: subscription),
    ("change_end", lambda alice, instance, subscription: subscription),
    ("pause", lambda alice, instance, subscription: _broadcast(alice)),
    ("cancel", lambda alice, instance, subscription: _broadcast(alice)),
    ("enable", lambda alice, instance, subscription: _endpoint(alice)),
    ("disable", lambda alice, instance, subscription: _endpoint(alice)),
]


def _key(alice: Person) -> ApiKey:
    alice.key()
    return ApiKey.objects.get()


def _broadcast(alice: Person) -> Broadcast:
    return Broadcast.objects.create(organization=alice.organization, network="sandbox", message={}, state="running")


def _endpoint(alice: Person) -> Endpoint:
    return Endpoint.objects.create(organization=alice.organization, url="https://example.com/in", events=["*"])


@pytest.mark.parametrize(("action", "prepare"), ACTIONS, ids=[name for name, _ in ACTIONS])
def test_who_may_only_look_cannot_act(
    observer: Operator, alice: Person, instance: Instance, subscription: Subscription, action: str, prepare: Prepare
) -> None:
    obj = prepare(alice, instance, subscription)
    before = Entry.objects.count()
    assert observer.act(obj, action).status_code == 403
    assert 'hx-target="#modal-content"' not in observer.read(obj)
    assert Entry.objects.count() == before


def test_every_action_of_the_admin_is_tried_above() -> None:
    known = {name for page in admin.site._registry.values() for name in getattr(page, "actions_detail", ())}
    assert known - {"resend"} == {name for name, _ in ACTIONS}
