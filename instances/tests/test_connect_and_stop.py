from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from conftest import Person
from instances.models import Instance
from instances.states import ENDED, State
from webhooks.models import Event

pytestmark = pytest.mark.django_db


def call(person: Person, instance: Instance, verb: str) -> dict[str, Any]:
    answer = person.client.post(f"/api/instances/{instance.id}/{verb}")
    assert answer.status_code == 202, answer.content
    return dict(answer.json())


def events() -> list[tuple[str, str, int]]:
    return [(event.type, event.data["state"], event.sequence) for event in Event.objects.order_by("sequence")]


@pytest.fixture
def new(alice: Person, make_instance: Callable[..., Instance]) -> Instance:
    return make_instance(alice, wanted="stopped", state="created", reason="new", phone=None, device_jid=None)


def test_a_new_instance_is_linked_first(alice: Person, new: Instance) -> None:
    body = call(alice, new, "connect")
    assert (body["wanted"], body["state"], body["reason"]) == ("connected", "linking", "waiting_for_worker")
    assert events() == [("instance.state", "linking", 1)]


def test_a_linked_instance_logs_in(alice: Person, instance: Instance) -> None:
    call(alice, instance, "stop")
    assert call(alice, instance, "connect")["state"] == "connecting"


@pytest.mark.parametrize("verb", ["connect", "stop"])
def test_doing_it_again_changes_nothing(alice: Person, new: Instance, verb: str) -> None:
    first = call(alice, new, verb)
    assert call(alice, new, verb) == first
    assert len(events()) == 1


def test_a_number_that_is_online_stays_as_it_is(alice: Person, instance: Instance) -> None:
    assert call(alice, instance, "connect")["state"] == "connected"
    assert events() == []


def test_stopping_keeps_the_link(alice: Person, instance: Instance) -> None:
    body = call(alice, instance, "stop")
    assert (body["wanted"], body["state"], body["reason"]) == ("stopped", "stopped", "stopped_by_user")
    assert body["phone"] == instance.phone
    assert events() == [("instance.state", "stopped", 1)]
    instance.refresh_from_db()
    assert instance.linked


def test_stopping_takes_back_the_codes(alice: Person, showing: Instance) -> None:
    call(alice, showing, "stop")
    showing.refresh_from_db()
    assert (showing.qr_code, showing.qr_expires_at, showing.pairing_code) == (None, None, None)


@pytest.mark.parametrize("state", sorted(ENDED))
def test_connect_begins_anew_after_an_end(alice: Person, make_instance: Callable[..., Instance], state: str) -> None:
    later = timezone.now() + timedelta(hours=1)
    ended = make_instance(alice, state=state, reason="refused", banned_until=later)
    body = call(alice, ended, "connect")
    assert (body["state"], body["banned_until"]) == (State.CONNECTING, None)


def test_the_time_of_a_state_is_the_time_it_began(alice: Person, instance: Instance) -> None:
    before = timezone.now()
    call(alice, instance, "stop")
    since = Instance.objects.get(pk=instance.pk).state_since
    assert since >= before
    call(alice, instance, "stop")
    assert Instance.objects.get(pk=instance.pk).state_since == since
