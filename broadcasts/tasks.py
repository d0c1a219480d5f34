from __future__ import annotations

import contextlib
from datetime import timedelta

import redis
from celery import shared_task
from django.core.cache import cache
from django.utils import timezone

from broadcasts import feeding
from broadcasts.models import Broadcast
from broadcasts.states import State

_SECONDS = 0.7  # of each second: what else the worker has to do comes in between
_TURN, _TURN_SECONDS = "broadcasts:feeding", 2
_KEEP_DRAFTS = timedelta(days=30)


@shared_task
def feed() -> None:
    """Feed the lanes from the broadcasts that are due. Two at once do no harm, but one is enough."""
    try:
        alone = cache.add(_TURN, 1, timeout=_TURN_SECONDS)
    except redis.RedisError:
        alone = True
    if alone:
        feeding.run(_SECONDS)
        _let_others()


def _let_others() -> None:
    with contextlib.suppress(redis.RedisError):  # it ends by itself
        cache.delete(_TURN)


@shared_task
def prune() -> None:
    """Drop drafts that nobody started."""
    Broadcast.objects.filter(state=State.DRAFT, created_at__lt=timezone.now() - _KEEP_DRAFTS).delete()
