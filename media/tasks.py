from __future__ import annotations

from functools import lru_cache

from celery import shared_task

from media import links, renditions, services, storing, wakeup
from media.models import Media, Rendition
from media.worklist import Worklist


@lru_cache(maxsize=1)
def _fetches() -> Worklist[Media]:
    return links.worklist()


@lru_cache(maxsize=1)
def _conversions() -> Worklist[Rendition]:
    return renditions.worklist()


@shared_task
def prepare(media_id: str, kind: str) -> None:
    """Make a file ready to be sent as a kind, or tell again what became of it."""
    services.begin(media_id=media_id, kind=kind)
    _fetches().run()
    _conversions().run()


@shared_task
def fetch() -> None:
    """Fetch the links that are due, and make what waits for them."""
    _fetches().run()
    _conversions().run()


@shared_task
def convert() -> None:
    """Make the renditions that are due."""
    _conversions().run()


@shared_task
def sweep() -> None:
    """Wake up for what is due and has nobody: lost wake-ups, second attempts, claims of workers that died."""
    if _fetches().is_due():
        wakeup.fetch()
    if _conversions().is_due():
        wakeup.convert()


@shared_task
def collect(most: int = 200) -> None:
    """End what has expired and delete its files, in small steps; goes on in another task while there is more."""
    storing.clear_incoming()
    ended = services.expire_due(most) + services.purge_old(most)
    if storing.collect(most) == most or ended >= most:
        collect.delay(most)
