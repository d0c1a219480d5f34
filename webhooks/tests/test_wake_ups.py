from __future__ import annotations

import base64
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest
import redis
from celery.contrib.testing.worker import start_worker
from django.conf import settings
from django.test import override_settings
from django.utils import timezone
from structlog.testing import capture_logs

from config.celery import app
from conftest import Person
from webhooks import announcer, deliveries, tasks
from webhooks.models import Delivery, Endpoint
from webhooks.tests.conftest import Receiver, wait_for
from webhooks.tests.test_deliveries import commit, states

pytestmark = pytest.mark.usefixtures("committed")


def woken() -> list[str]:
    """The endpoints whose wake-ups wait in the broker."""
    messages = redis.Redis.from_url(settings.REDIS_URL).lrange("celery:tasks", 0, -1)
    bodies = [orjson.loads(base64.b64decode(orjson.loads(message)["body"])) for message in messages]
    return [one for arguments, *_ in bodies for one in arguments if str(one).startswith("whk_")]


@pytest.fixture
def sentinel(charlie: Person) -> Callable[[], None]:
    """Waits until everything announced before has been said."""
    endpoint = Endpoint.objects.create(organization=charlie.organization, url="http://127.0.0.1/", events=["*"])

    def wait() -> None:
        announcer.announce([], [endpoint.id])
        wait_for(lambda: endpoint.id in woken())

    return wait


def test_a_burst_of_events_makes_one_wake_up(hook: Endpoint, draft: Any, sentinel: Callable[[], None]) -> None:
    for _ in range(5):
        commit(draft(), draft())
    sentinel()
    assert woken().count(hook.id) == 1


def test_what_is_committed_after_a_wake_up_was_taken_makes_another(
    hook: Endpoint, draft: Any, sentinel: Callable[[], None]
) -> None:
    commit(draft())
    wait_for(woken)
    announcer.woken(hook.id)
    commit(draft())
    sentinel()
    assert woken().count(hook.id) == 2


def test_events_nobody_wants_wake_nobody(hook: Endpoint, draft: Any, sentinel: Callable[[], None]) -> None:
    Endpoint.objects.filter(pk=hook.pk).update(events=["instance.*"])
    commit(draft())
    sentinel()
    assert hook.id not in woken()


def test_without_redis_events_are_committed_and_later_ones_are_announced_again(hook: Endpoint, draft: Any) -> None:
    nowhere = "unix:///nowhere/valkey.sock"
    caches = {"default": settings.CACHES["default"] | {"LOCATION": nowhere}}
    layers = {"default": settings.CHANNEL_LAYERS["default"] | {"CONFIG": {"hosts": [nowhere]}}}
    with override_settings(CACHES=caches, CHANNEL_LAYERS=layers), capture_logs() as logs:
        with pytest.raises(redis.RedisError):
            announcer.wake(hook.id)
        commit(draft())
        wait_for(lambda: logs)
    assert [entry["event"] for entry in logs] == ["announcement lost"]
    assert states(hook) == ["pending"]
    assert woken() == []
    commit(draft())
    wait_for(lambda: woken() == [hook.id])


def test_the_sweeper_repairs_lost_wake_ups(hook: Endpoint, draft: Any, sentinel: Callable[[], None]) -> None:
    commit(draft())
    sentinel()
    redis.Redis.from_url(settings.REDIS_URL).flushdb()
    tasks.sweep()
    assert woken() == [hook.id]


def test_the_sweeper_leaves_alone_what_is_busy_disabled_or_not_due(
    hook: Endpoint, draft: Any, sentinel: Callable[[], None]
) -> None:
    commit(draft())
    sentinel()
    redis.Redis.from_url(settings.REDIS_URL).flushdb()
    claim = uuid.uuid4()
    deliveries.take(hook.id, claim, 100)
    tasks.sweep()
    deliveries.release(hook.id, claim)
    Delivery.objects.update(next_attempt_at=timezone.now() + timedelta(minutes=1))
    tasks.sweep()
    Delivery.objects.update(next_attempt_at=timezone.now() - timedelta(minutes=1))
    Endpoint.objects.update(enabled=False)
    tasks.sweep()
    assert woken() == []


def test_enabling_an_endpoint_wakes_it(alice: Person, hook: Endpoint, draft: Any) -> None:
    commit(draft())
    wait_for(woken)
    redis.Redis.from_url(settings.REDIS_URL).flushdb()
    for enabled in (False, True):
        alice.client.patch(f"/api/webhooks/{hook.id}", {"enabled": enabled}, format="json")
    wait_for(lambda: woken() == [hook.id])


def test_a_committed_event_reaches_the_receiver_through_broker_and_worker(
    hook: Endpoint, receiver: Receiver, draft: Any
) -> None:
    with start_worker(app, pool="threads", concurrency=2, perform_ping_check=False, queues=["tasks"]):
        (event,) = commit(draft())
        wait_for(lambda: states(hook) == ["succeeded"])
    tasks.finish_deliveries()
    assert [request.headers["webhook-id"] for request in receiver.requests] == [event.id]
