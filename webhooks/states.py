"""The states of an endpoint, with a reason and an advice for each that is not well."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from django.db.models import Q, TextChoices

from webhooks.models import Endpoint


class State(TextChoices):
    ACTIVE = "active"
    FAILING = "failing"
    DISABLED = "disabled"


class Reason(NamedTuple):
    """A sentence for humans and what they can do about it."""

    sentence: str
    advice: str


FAILING = "no_success"
REASONS: dict[str, Reason] = {
    FAILING: Reason(
        "No attempt has succeeded since.", "Look at the attempts of its deliveries. After five days it is disabled."
    ),
    Endpoint.Disabled.USER: Reason("It was disabled by a user.", "Enable it."),
    Endpoint.Disabled.OPERATOR: Reason("An operator disabled it.", "Ask the operator why before you enable it."),
    Endpoint.Disabled.GONE: Reason(
        "The receiver answered 410 Gone.", "Enable it once the URL is right, then recover what it missed."
    ),
    Endpoint.Disabled.FAILING: Reason(
        "The receiver failed for five days without one success.", "Repair it, enable it, then recover what it missed."
    ),
}

QUERIES: dict[str, Q] = {
    State.ACTIVE: Q(enabled=True, failing_since=None),
    State.FAILING: Q(enabled=True, failing_since__isnull=False),
    State.DISABLED: Q(enabled=False),
}


class Standing(NamedTuple):
    """How an endpoint is: ``reason`` is a key of REASONS; it and ``since`` are None while all is well."""

    state: State
    reason: str | None = None
    since: datetime | None = None

    @property
    def words(self) -> Reason | None:
        return REASONS[self.reason] if self.reason else None


def standing(endpoint: Endpoint) -> Standing:
    if not endpoint.enabled:
        return Standing(State.DISABLED, endpoint.disabled_code or Endpoint.Disabled.USER, endpoint.disabled_at)
    if endpoint.failing_since:
        return Standing(State.FAILING, FAILING, endpoint.failing_since)
    return Standing(State.ACTIVE)
