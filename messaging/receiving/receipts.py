"""Writes receipts: handlers of the session worker's writer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from instances.holding.writer import Item, Written
from instances.models import Instance
from instances.whatsapp.news import Receipt
from messaging.models import EarlyReceipt, Message
from messaging.progress import progress
from messaging.states import Direction


def _known(items: Iterable[Item]) -> dict[tuple[str, str], Message]:
    wanted: dict[str, set[str]] = defaultdict(set)
    for item in items:
        wanted[item.instance_id].update(item.value.wa_ids)
    found: dict[tuple[str, str], Message] = {}
    for instance_id, wa_ids in wanted.items():
        rows = Message.objects.filter(instance_id=instance_id, wa_id__in=wa_ids, direction=Direction.OUTBOUND)
        found |= {(instance_id, row.wa_id or ""): row for row in rows}
    return found


def receipts(items: list[Item], held: dict[str, Instance]) -> Written:
    known, drafts, early = _known(items), [], []
    for item in items:
        receipt: Receipt = item.value
        for wa_id in receipt.wa_ids:
            if message := known.get((item.instance_id, wa_id)):
                drafts += progress(message, receipt.kind, receipt.at, held[item.instance_id])
            else:
                early.append(EarlyReceipt(instance_id=item.instance_id, wa_id=wa_id, kind=receipt.kind, at=receipt.at))
    EarlyReceipt.objects.bulk_create(early)
    return Written([None] * len(items), drafts)
