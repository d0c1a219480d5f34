"""What the events of broadcasts and opt-outs hold."""

from __future__ import annotations

from typing import Any

from broadcasts.api.schema import Broadcast, OptOut
from webhooks.catalogue import Content

_AT, _LATER = "2026-11-23T09:30:00.000Z", "2026-11-23T10:02:11.000Z"
_INSTANCE = "ins_01h455vb4pex5vsknk084sn02q"
_PROGRESS = dict.fromkeys(
    ("pending", "queued", "sent", "delivered", "read", "failed", "unconfirmed", "cancelled", "skipped"), 0
)
_OPT_OUT = {
    "id": "opt_01h455vb4pex5vsknk084sn02q",
    "network": "sandbox",
    "contact": {"id": "15550100002@s.whatsapp.net", "phone": "15550100002", "lid": None, "name": None},
    "source": "stop_word",
    "instance": _INSTANCE,
    "created_at": _AT,
}


def _of(state: str, progress: dict[str, int], reason: str | None = None, ended_at: str | None = None) -> Content:
    example: dict[str, Any] = {
        "id": "bct_01h455vb4pex5vsknk084sn02q",
        "name": "Winter sale",
        "network": "sandbox",
        "instances": [_INSTANCE],
        "template_id": None,
        "message": {"type": "text", "text": {"body": "Hello {{name}}, our sale has begun."}},
        "state": state,
        "reason": reason,
        "start_at": None,
        "pacing": {"per_minute": 20},
        "quiet_hours": None,
        "recipients": {"accepted": 500, "duplicate": 2, "invalid": 1, "opted_out": 4},
        "progress": _PROGRESS | progress,
        "created_at": _AT,
        "started_at": _AT,
        "ended_at": ended_at,
    }
    return Content(Broadcast, example)


EVENTS = {
    "broadcast.started": _of("running", {"pending": 500}),
    "broadcast.paused": _of("paused", {"pending": 380, "delivered": 120}, reason="user"),
    "broadcast.resumed": _of("running", {"pending": 380, "delivered": 90, "read": 30}),
    "broadcast.completed": _of("completed", {"delivered": 310, "read": 184, "failed": 6}, ended_at=_LATER),
    "broadcast.cancelled": _of("cancelled", {"cancelled": 380, "read": 120}, ended_at=_LATER),
    "contact.opted_out": Content(OptOut, _OPT_OUT),
    "contact.opted_in": Content(OptOut, _OPT_OUT),
}
