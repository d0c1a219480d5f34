from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from config.api.operations import Moment, Operation, Operations, Page, Shape, Tag, identifier
from instances.api.schema import InstanceId
from messaging.api.schema import Contact
from messaging.calls.api import views
from messaging.calls.models import Call as Row


class Call(Shape):
    """A call to the number. It cannot be answered here."""

    id: Annotated[str, identifier("cal")]
    instance: InstanceId
    wa_id: Annotated[str, Meta(description="WhatsApp's id of the call.")]
    status: Annotated[
        Row.Status,
        Meta(description="`rejecting`: by the settings. `missed`: it came while the number was offline."),
    ]
    reason: Annotated[
        Literal["rejected", "hung_up", "missed", "answered_elsewhere", "rejected_elsewhere"] | None,
        Meta(description="Why it is over. `rejected`: by the settings, or by request. Elsewhere: on the phone."),
    ]
    caller: Contact = msgspec.field(name="from")
    video: bool
    group: Annotated[bool, Meta(description="Whether several people are called.")]
    group_id: Annotated[str | None, Meta(description="The group that is called, if WhatsApp says which.")]
    at: Annotated[Moment, Meta(description="When it began.")]
    ended_at: Moment | None


class CallPage(Page[Call]):
    pass


_OTHER_NETWORK = ("test_key_on_live", "live_key_on_sandbox")
TAG = Tag("Calls", "Calls to the numbers: told, and rejected.")
OPERATIONS: Operations = {
    views.CallsView.get: Operation(
        "List calls",
        "That an instance got within the last 30 days, newest first.",
        answers={200: CallPage},
        paged=True,
        problems=_OTHER_NETWORK,
    ),
    views.RejectCallView.post: Operation(
        "Reject a call",
        "While it rings. Idempotent. Nothing is written to the caller: the setting `calls` does that.",
        answers={200: Call},
        problems=["call_ended", "engine_failed", "instance_offline", "no_answer", *_OTHER_NETWORK],
    ),
}
