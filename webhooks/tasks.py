from __future__ import annotations

from typing import Any

from celery import shared_task
from celery.signals import worker_shutdown
from django.utils import timezone

from webhooks import announcer, deliveries, failing, pruning, replays
from webhooks.dispatcher import dispatcher, finish


@shared_task
def deliver(*endpoint_ids: str) -> None:
    """Start delivering what is due at the endpoints; does not wait for it."""
    # Of one that rests the wake-up stays on record: else a new one would come with each event, in vain.
    announcer.woken(*[one for one in endpoint_ids if not dispatcher().is_resting(one)])
    for endpoint_id in endpoint_ids:
        dispatcher().wake(endpoint_id)


@shared_task
def sweep() -> None:
    """Wake up for whatever is due and has nobody: retries, lost wake-ups, claims of workers that died,
    endpoints that fail for long, replays."""
    announcer.wake(*deliveries.neglected())
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
    finish()
