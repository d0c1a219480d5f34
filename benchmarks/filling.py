"""Fills the ledger of an instance, beside another tenant's, to measure finding in it; runs in a stack's environment.

``python -m benchmarks.filling INSTANCE ROWS`` goes on from the rows that are there; without ROWS it prints, as JSON,
the indexes that the database uses for each query.
"""

from __future__ import annotations

import os
import random
import re
import secrets
import sys
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

import django
import orjson

STEP = 5_000
CHATS = 2_000
COMMON, RARE, PREFIX = "hello", "quartz", "quar"
SPAN = timedelta(days=300)
_COLUMNS = (
    "id", "organization", "instance", "direction", "status", "type", "content", "attributes", "text", "chat",
    "sender_name", "history", "secret", "client_ref", "attempts", "created_at",
)  # fmt: skip
_INDEX = re.compile(r"(?:USING (?:COVERING )?INDEX |Index (?:Only )?Scan (?:Backward )?(?:using|on) )(\w+)")
_WORDS = [f"w{number:x}" for number in range(20_000)]
_WEIGHTS = list(accumulate(1 / (rank + 5) for rank in range(len(_WORDS))))  # as words are spread in any language


def chat(number: int) -> str:
    return f"1556{number:07d}@s.whatsapp.net"


def _row(organization: str, instance: str, place: int, total: int) -> tuple[Any, ...]:
    from config.ids import first_id, new_id

    at = datetime.now(UTC) - SPAN * (1 - place / total)
    words = [COMMON, *random.choices(_WORDS, cum_weights=_WEIGHTS, k=8)]
    words += [RARE] if place % 10_000 == 5_000 else []
    inbound, kind = place % 3 == 0, "image" if place % 50 == 7 else "text"
    status = "received" if inbound else "failed" if place % 1_000 == 1 else "read"
    text = " ".join(words)
    return (
        first_id(at, "msg")[:14] + new_id("msg")[14:],
        organization,
        instance,
        "inbound" if inbound else "outbound",
        status,
        kind,
        orjson.dumps({"body": text} if kind == "text" else {"caption": text}).decode(),
        "{}",
        text,
        chat(random.randrange(CHATS)),
        "",
        False,
        secrets.token_bytes(32),
        f"order {place}" if not inbound and place % 10 == 2 else None,
        0,
        at,
    )


def fill(instance_id: str, rows: int) -> None:
    """Bring the instance's messages, and those of another tenant, to so many each."""
    from django.db import connection, transaction

    from accounts.models import Organization
    from config import bulk
    from instances.models import Instance
    from messaging.models import Message

    mine = Instance.objects.get(pk=instance_id)
    other, _ = Organization.objects.get_or_create(name="Another tenant")
    theirs, _ = Instance.objects.get_or_create(organization=other, network=mine.network, name="Theirs")
    for instance in (mine, theirs):
        there = Message.objects.filter(instance=instance).count()
        for start in range(there, rows, STEP):
            places = range(start, min(start + STEP, rows))
            with transaction.atomic():
                made = (_row(instance.organization_id, instance.pk, place, rows) for place in places)
                bulk.insert(Message, _COLUMNS, made)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        if connection.vendor == "postgresql" and not connection.in_atomic_block:
            cursor.execute("VACUUM (ANALYZE) messaging_message, messaging_words")


def queries(instance_id: str) -> dict[str, dict[str, str]]:
    """The queries of the list of messages, by what they are called."""
    one = {"instance": instance_id}
    since = datetime.now(UTC) - SPAN / 2
    return {
        "all": {},
        "of an instance": one,
        "of a chat": one | {"chat": chat(7)},
        "received": one | {"direction": "inbound"},
        "failed": one | {"status": "failed"},
        "images": one | {"type": "image"},
        "by client_ref": {"client_ref": "order 5002"},
        "before a moment": one | {"until": since.isoformat()},
        "with a common word": one | {"q": COMMON},
        "with a rare word": one | {"q": RARE},
        "with a beginning": one | {"q": f"{PREFIX}*"},
        "with two words": one | {"q": f"{COMMON} w1f"},
        "failed, with a common word": one | {"status": "failed", "q": COMMON},
    }


def explained(instance_id: str) -> dict[str, list[str]]:
    """The indexes that the database uses for the first page of each query."""
    from accounts.actor import Actor
    from instances.models import Instance
    from messaging.api.serializers import MessagesQuery
    from messaging.finding import filters

    actor = Actor(Instance.objects.get(pk=instance_id).organization_id, "user", "", frozenset({"read"}))
    found = {}
    for name, query in queries(instance_id).items():
        checked = MessagesQuery(data=query)
        checked.is_valid(raise_exception=True)
        plan = filters.messages(actor, **checked.validated_data).order_by("-id")[:51].explain()
        names = re.findall(
            r"(?:USING (?:COVERING )?INDEX |Index (?:Only )?Scan (?:Backward )?(?:using|on) )(\w+)", plan
        )
        found[name] = sorted(set(names)) or [plan]
    return found


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    if len(sys.argv) > 2:
        fill(sys.argv[1], int(sys.argv[2]))
    else:
        print(orjson.dumps(explained(sys.argv[1])).decode())
