"""Appends events of an instance, as the product's own processes do; runs in a stack's environment.

``python -m benchmarks.emitting INSTANCE COUNT PER_SECOND TOGETHER``: COUNT events in transactions of TOGETHER, each in
one of 100 chats and with the moment of its insertion (``time.time()``) as ``data.at``. PER_SECOND 0 has no limit.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import django

_CHATS = 100


def emit(instance_id: str, count: int, per_second: float, together: int) -> None:
    from django.db import transaction

    from instances.models import Instance
    from webhooks import events

    instance = Instance.objects.get(pk=instance_id)
    started = time.monotonic()
    for start in range(0, count, together):
        if per_second:
            time.sleep(max(0.0, started + start / per_second - time.monotonic()))
        with transaction.atomic():
            events.append([_draft(instance, number) for number in range(start, min(start + together, count))])
    time.sleep(1)  # what was appended is announced from a thread


def _draft(instance: Any, number: int) -> Any:
    from instances.services import draft

    chat = f"1556{number % _CHATS:07d}"
    who = {"id": f"{chat}@s.whatsapp.net", "phone": chat, "lid": None, "name": "Carla"}
    data = {"id": f"msg_{number}", "chat": who, "from": who, "type": "text", "text": {"body": "hello " * 20}}
    return draft(instance, "message.received", data | {"at": time.time()})


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    emit(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
