"""What the events of webhook endpoints hold."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from config.api.operations import Moment, Shape, identifier
from webhooks import states
from webhooks.catalogue import Content

_ID = "whk_01h455vb4pex5vsknk084sn02q"
EndpointId = Annotated[str, identifier("whk")]


class EndpointStanding(Shape):
    """How a webhook endpoint stands; of its URL only the host is told."""

    webhook: EndpointId
    host: str
    description: str
    state: states.State
    reason: str | None
    reason_text: Annotated[str, Meta(description="The reason in words.")] | None
    advice: Annotated[str, Meta(description="What to do about it.")] | None
    since: Moment | None
    disables_at: Annotated[Moment, Meta(description="When it is disabled if nothing succeeds until then.")] | None


class EndpointTest(Shape):
    test: Literal[True]
    webhook: EndpointId


def _standing(state: str, reason: str | None, since: str | None, disables_at: str | None = None) -> Content:
    words = states.REASONS[reason] if reason else None
    example = {
        "webhook": _ID,
        "host": "example.com",
        "description": "Shop",
        "state": state,
        "reason": reason,
        "reason_text": words.sentence if words else None,
        "advice": words.advice if words else None,
        "since": since,
        "disables_at": disables_at,
    }
    return Content(EndpointStanding, example)


_SINCE, _END = "2026-11-23T08:30:00.000Z", "2026-11-28T08:30:00.000Z"
EVENTS = {
    "webhook.failing": _standing("failing", "no_success", _SINCE, _END),
    "webhook.recovered": _standing("active", None, None),
    "webhook.disabled": _standing("disabled", "receiver_failing", _END),
    "webhook.test": Content(EndpointTest, {"test": True, "webhook": _ID}),
}
