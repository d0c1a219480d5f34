from __future__ import annotations

import pytest

from instances.holding.hand_over import HAND_OVER_SECONDS, as_holder_sees_it
from instances.states import State
from instances.whatsapp.news import StateChange

REPLACED = StateChange(State.REPLACED, "used_elsewhere")
LOGGED_OUT = StateChange(State.LOGGED_OUT, "unlinked")


def test_a_number_just_taken_over_tries_again_when_the_holder_before_comes_back() -> None:
    change = as_holder_sees_it(REPLACED, epoch=2, held_seconds=1)
    assert (change.state, change.reason) == (State.RECONNECTING, "connection_lost")


@pytest.mark.parametrize("forgiven_seconds", [None, HAND_OVER_SECONDS + 1], ids=["never forgiven", "forgiven long ago"])
def test_one_that_was_frozen_for_long_is_forgiven_once(forgiven_seconds: float | None) -> None:
    change = as_holder_sees_it(REPLACED, 2, 10 * HAND_OVER_SECONDS, forgiven_seconds)
    assert change.state == State.RECONNECTING


@pytest.mark.parametrize(
    ("change", "epoch", "seconds"),
    [(REPLACED, 1, 1.0), (REPLACED, 2, HAND_OVER_SECONDS), (LOGGED_OUT, 2, 1.0)],
    ids=["nobody held it before", "long after, and again", "another end"],
)
def test_any_other_end_is_an_end(change: StateChange, epoch: int, seconds: float) -> None:
    assert as_holder_sees_it(change, epoch, seconds, forgiven_seconds=1.0) is change
