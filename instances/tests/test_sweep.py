from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from conftest import Person
from instances.models import Instance, Worker
from instances.states import State
from instances.tasks import sweep
from webhooks.models import Event

pytestmark = pytest.mark.django_db


@pytest.fixture
def orphan(alice: Person, make_instance: Callable[..., Instance], worker: Worker) -> Callable[..., Instance]:
    """Makes an instance whose lease has run out."""

    def make(**columns: object) -> Instance:
        past = timezone.now() - timedelta(seconds=1)
        return make_instance(alice, **{"holder": worker, "epoch": 1, "lease_until": past} | columns)

    return make


@pytest.mark.parametrize("state", [State.CONNECTED, State.CONNECTING])
def test_a_number_whose_worker_went_away_is_not_called_connected(orphan: Callable[..., Instance], state: str) -> None:
    instance = orphan(state=state)
    sweep()
    instance.refresh_from_db()
    assert (instance.state, instance.reason) == (State.RECONNECTING, "worker_lost")
    assert Event.objects.get().type == "instance.state"
    sweep()
    assert Event.objects.count() == 1


@pytest.mark.parametrize(
    "columns",
    [
        {"lease_until": timezone.now() + timedelta(hours=1)},
        {"lease_until": None},
        {"wanted": "stopped", "state": State.STOPPED},
        {"state": State.BANNED},
        {"state": State.LINKING},
    ],
)
def test_every_other_number_is_left_alone(orphan: Callable[..., Instance], columns: dict[str, object]) -> None:
    instance = orphan(**columns)
    sweep()
    assert Instance.objects.get().state == instance.state
    assert not Event.objects.exists()
