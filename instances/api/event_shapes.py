"""What the events of instances hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from instances.api.schema import ColdHold, Degraded, InstanceInEvents, QrCode, Quarantined
from instances.models import Instance
from instances.selectors import instance_data
from instances.states import State
from webhooks.catalogue import Content

AT = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
EXAMPLE = Instance(
    id="ins_01h455vb4pex5vsknk084sn02q",
    name="Support",
    network="sandbox",
    wanted="connected",
    state="connected",
    reason="online",
    state_since=AT,
    phone="15550100001",
    device_jid="15550100001:1@s.whatsapp.net",
    connected_at=AT,
    created_at=AT,
)
_NEW: dict[str, Any] = {"wanted": "stopped", "state": "created", "reason": "new", "connected_at": None}
_HOLD = {"since": "2026-11-23T09:30:00.000Z", "until": "2026-11-23T10:30:00.000Z", "waiting": 3}


def _of(**columns: Any) -> Content:
    columns = {field.attname: getattr(EXAMPLE, field.attname) for field in Instance._meta.fields} | columns
    return Content(InstanceInEvents, instance_data(Instance(**columns)))


EVENTS = {
    "instance.created": _of(**_NEW, phone=None, device_jid=None),
    "instance.deleted": _of(wanted="stopped", state=State.LOGGED_OUT, reason="logged_out_by_user", device_jid=None),
    "instance.updated": _of(name="Sales"),
    "instance.state": _of(state=State.RECONNECTING, reason="connection_lost"),
    "instance.connected": _of(),
    "instance.degraded": Content(Degraded, {"reason": "no_answer", "silent_seconds": 320}),
    "instance.quarantined": Content(Quarantined, {"until": "2026-11-23T09:31:00.000Z", "times": 1}),
    "instance.cold_hold": Content(ColdHold, _HOLD),
    "instance.qr": Content(QrCode, {"code": "2@sE4…,7Gh…,Kq2…", "expires_at": "2026-11-23T09:31:00.000Z"}),
}
