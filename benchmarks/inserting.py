"""``python -m benchmarks.inserting ORGANIZATION INSTANCE COUNT PAUSE``: commits events that say how old they are."""

from __future__ import annotations

import os
import sys
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import transaction  # noqa: E402

from webhooks.events import Draft, append  # noqa: E402


def insert(organization: str, instance: str, count: int, pause: float) -> None:
    """One after another; ``data.at`` is the time in seconds since 1970 just before the transaction."""
    for _ in range(count):
        with transaction.atomic():
            append([Draft(organization, instance, "sandbox", "instance.updated", {"at": time.time()})])
        time.sleep(pause)


if __name__ == "__main__":
    insert(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
    time.sleep(1)  # the announcer's thread ends with the process
