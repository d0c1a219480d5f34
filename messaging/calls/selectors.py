from __future__ import annotations

from typing import Any

from config.timestamps import iso
from messaging.calls.models import Call
from messaging.selectors import person


def call_data(call: Call) -> dict[str, Any]:
    """The call as clients see it, in answers and in events."""
    return {
        "id": call.id,
        "instance": call.instance_id,
        "wa_id": call.wa_id,
        "status": call.status,
        "reason": call.reason,
        "from": person(call.phone, call.lid, call.name),
        "video": call.video,
        "group": call.group,
        "group_id": call.group_jid,
        "at": iso(call.at),
        "ended_at": iso(call.ended_at),
    }
