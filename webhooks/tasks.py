from __future__ import annotations

from typing import Any

from celery import shared_task
from celery.signals import worker_shutdown
from django.utils import timezone

from webhooks import announcer, deliveries, failing, pruning, replays
from webhooks.dispatcher import dispatcher


@shared_task
def deliver(endpoint_id: str) -> None:
    """Start delivering what is due at the endpoint; does not wait for it."""
    if not dispatcher().is_resting(endpoint_id):  # else a new wake-up would come with each event, in vain
        announcer.woken(endpoint_id)
    dispatcher().wake(endpoint_id)


@shared_task
def sweep() -> None:
    """Wake up for whatever is due and has nobody: retries, lost wake-ups, claims of workers that died,
    endpoints that fail for long, replays."""
    for endpoint_id in deliveries.neglected():
        announcer.wake(endpoint_id)
    for endpoint_id in failing.due(timezone.now()):
        failing.advance(endpoint_id=endpoint_id)
    for replay_id in replays.neglected():
        replays.wake(replay_id)


@shared_task
def replay(replay_id: str) -> None:
    """Go on with a replay; in another task while there is more, so that others get their turn."""
    if replays.run(replay_id=replay_id):
        replays.wake(replay_id)


@shared_task
def prune() -> None:
    """Drop old events with their deliveries, and deleted endpoints; goes on in another task while there is more."""
    replays.prune()
    if pruning.prune():
        prune.delay()


@worker_shutdown.connect
def finish_deliveries(**_: Any) -> None:
    if dispatcher.cache_info().currsize:
        dispatcher().stop()
        dispatcher.cache_clear()
