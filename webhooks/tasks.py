from __future__ import annotations

from typing import Any

from celery import shared_task
from celery.signals import worker_shutdown

from webhooks import announcer, deliveries, pruning
from webhooks.dispatcher import dispatcher


@shared_task
def deliver(endpoint_id: str) -> None:
    """Start delivering what is due at the endpoint; does not wait for it."""
    if not dispatcher().is_resting(endpoint_id):  # else a new wake-up would come with each event, in vain
        announcer.woken(endpoint_id)
    dispatcher().wake(endpoint_id)


@shared_task
def sweep() -> None:
    """Wake up for whatever is due and has nobody: retries, lost wake-ups, claims of workers that died."""
    for endpoint_id in deliveries.neglected():
        announcer.wake(endpoint_id)


@shared_task
def prune() -> None:
    """Drop old events with their deliveries, and deleted endpoints; goes on in another task while there is more."""
    if pruning.prune():
        prune.delay()


@worker_shutdown.connect
def finish_deliveries(**_: Any) -> None:
    if dispatcher.cache_info().currsize:
        dispatcher().stop()
        dispatcher.cache_clear()
